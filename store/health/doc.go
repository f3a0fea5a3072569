// Package health reports to orchestrators, load balancers and people whether a store works: its tables, and its subscriptions and
// projections, which are called readers here.
//
//	h := health.New(es, &health.Options{Needs: []string{"order-summary"}})
//	mux.HandleFunc("GET /livez", h.Live)     // restart the process?
//	mux.HandleFunc("GET /readyz", h.Ready)   // send requests to it?
//	mux.HandleFunc("GET /status", h.Status)  // does a person have to look?
//
// # What is a problem
//
// [Judge] decides; the command eventstore doctor asks it, too.
//
//   - A reader that a process runs and that has not moved for Limits.Stalled, although there are events for it, is a problem: its handler
//     hangs, or fails again and again.
//   - A reader that is further behind than Limits.Lag or Limits.Delay, if these are set, is a problem.
//   - A reader that has parked events, that no process runs while there are events for it, or whose last error is not over, is a warning.
//
// Tables that are missing or old, and a database that can't be reached or takes no writes, are a problem: see [store.Store.Check].
//
// # What it costs
//
// An examination asks the database for its settings, all subscriptions and all projections. Its result is kept for Options.KeepFor, by
// default 5 seconds, and requests that come while one is under way wait for it: however often it is probed, a process examines the store at
// most once in that time.
//
// # What it shows
//
// The body is a [Report] in JSON. It holds names of streams and readers, and numbers. Texts of errors, which may hold anything that a
// handler or a driver has put there, are shown only with Options.ShowErrors.
package health
