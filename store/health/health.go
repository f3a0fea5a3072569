package health

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/eventstore-go/eventstore/store"
)

// Options of a [Health]. A zero field means its default.
type Options struct {
	// Limits say what is a finding.
	Limits Limits
	// Needs are the names of subscriptions and projections without which the process can't serve requests, such as the read model that its
	// pages show. Ready reports a problem while one of them has a problem or does not exist. Default: none, since a reader that lags should
	// not take every process of a service out of the load balancer.
	Needs []string
	// RestartAfter is how long a reader that this process runs may stand still before Live asks for a restart, which frees a handler that
	// hangs; at least a minute. Default: never.
	RestartAfter time.Duration
	// KeepFor is how long the result of an examination is used for further requests. Default: 5 seconds.
	KeepFor time.Duration
	// Timeout is how long an examination may take. Default: 5 seconds.
	Timeout time.Duration
	// ShowErrors puts the texts of errors into the body. They may hold personal data, or names of hosts and users. Default: they are not
	// shown.
	ShowErrors bool
	// Logger gets each new error for which the store can't be examined. Default: slog.Default().
	Logger *slog.Logger
}

// Defaults of [Options].
const (
	DefaultKeepFor = 5 * time.Second
	DefaultTimeout = 5 * time.Second
)

// Health answers requests about the health of a store. It is safe for concurrent use. Its methods Live, Ready and Status are
// http.HandlerFunc's; as an [http.Handler] it serves them at the paths /live, /ready and /status.
type Health struct {
	es  *store.Store
	o   Options
	mux *http.ServeMux

	mu      sync.Mutex
	last    *examined     // nil before the first examination
	running chan struct{} // closed when the examination that is under way has ended; nil if none is
}

// examined is the result of an examination.
type examined struct {
	at            time.Time
	check         error // why the store can't be used, or nil
	subscriptions []store.SubscriptionInfo
	projections   []store.ProjectionInfo
}

// New returns a Health of a Store. It does not touch the database. It panics if an option is negative, or RestartAfter is less than a
// minute, which would restart processes in a loop.
func New(es *store.Store, opts *Options) *Health {
	var o Options
	if opts != nil {
		o = *opts
	}
	l := o.Limits
	if min(o.RestartAfter, o.KeepFor, o.Timeout, l.Stalled, l.Delay) < 0 || min(l.Lag, l.Idle, l.Parked) < 0 {
		panic("health: an option is negative")
	}
	if o.RestartAfter > 0 && o.RestartAfter < time.Minute {
		panic(fmt.Sprintf("health: RestartAfter is %s, must be a minute or more", o.RestartAfter))
	}
	o.KeepFor, o.Timeout = cmp.Or(o.KeepFor, DefaultKeepFor), cmp.Or(o.Timeout, DefaultTimeout)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	h := &Health{es: es, o: o, mux: http.NewServeMux()}
	h.mux.HandleFunc("/live", h.Live)
	h.mux.HandleFunc("/ready", h.Ready)
	h.mux.HandleFunc("/status", h.Status)
	return h
}

// ServeHTTP implements [http.Handler]. Mount it with a prefix by http.StripPrefix.
func (h *Health) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// Report is the body of an answer.
type Report struct {
	// Status is the worst level of the findings.
	Status Level `json:"status"`
	// At is when the store was examined. It is zero if it was not: Live without RestartAfter asks nothing of the database.
	At time.Time `json:"at,omitzero"`
	// Findings are what is not as it should be.
	Findings []Finding `json:"findings"`
}

// Live answers whether the process works, for a liveness probe: an orchestrator restarts a process that does not. The status code is 200,
// or 503 if the Store is closed, or if a reader that this process runs has not moved for RestartAfter. A database that is down is no
// reason: a restart would not help.
func (h *Health) Live(w http.ResponseWriter, r *http.Request) {
	report := Report{}
	if h.closed() {
		report.Findings = []Finding{h.unusable(store.ErrClosed)}
	} else if h.o.RestartAfter > 0 {
		if x := h.examine(r.Context()); x.check == nil {
			report.At = x.at
			report.Findings = h.hung(x)
		}
	}
	h.answer(w, r, report)
}

// Ready answers whether the process can serve requests, for a readiness probe: a load balancer sends none to one that can't. The status
// code is 200, or 503 if the store can't be used, or if one of the readers in Needs has a problem.
func (h *Health) Ready(w http.ResponseWriter, r *http.Request) {
	x := h.examine(r.Context())
	report := Report{At: x.at}
	if x.check != nil {
		report.Findings = []Finding{h.unusable(x.check)}
	} else {
		report.Findings = h.needed(x)
	}
	h.answer(w, r, report)
}

// Status answers with all findings, for monitoring. The status code is 200, also with warnings, or 503 if there is a problem.
func (h *Health) Status(w http.ResponseWriter, r *http.Request) {
	h.answer(w, r, h.Report(r.Context()))
}

// Report returns all findings, as Status shows them. Its errors are findings. It may be up to Options.KeepFor old.
func (h *Health) Report(ctx context.Context) Report {
	x := h.examine(ctx)
	report := Report{At: x.at}
	if x.check != nil {
		report.Findings = []Finding{h.unusable(x.check)}
	} else {
		report.Findings = append(Judge(x.subscriptions, x.projections, h.o.Limits), h.missing(x)...)
	}
	return h.sealed(report)
}

// closed reports whether the Store is closed, without asking the database.
func (h *Health) closed() bool {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return errors.Is(h.es.Check(ctx), store.ErrClosed)
}

// hung returns the readers that this process runs and that have not moved for RestartAfter.
func (h *Health) hung(x *examined) []Finding {
	own := func(s store.SubscriptionInfo) bool { return s.Held && s.Owner == h.es.Owner() }
	var subscriptions []store.SubscriptionInfo
	for _, s := range x.subscriptions {
		if own(s) {
			subscriptions = append(subscriptions, s)
		}
	}
	var projections []store.ProjectionInfo
	for _, p := range x.projections {
		p.Partitions = slices.DeleteFunc(slices.Clone(p.Partitions), func(i store.PartitionInfo) bool { return !own(i.SubscriptionInfo) })
		projections = append(projections, p)
	}
	found := Judge(subscriptions, projections, Limits{Stalled: h.o.RestartAfter})
	return slices.DeleteFunc(found, func(f Finding) bool { return f.Kind != KindStalled })
}

// needed returns what is wrong with the readers in Needs.
func (h *Health) needed(x *examined) []Finding {
	if len(h.o.Needs) == 0 {
		return nil
	}
	var subscriptions []store.SubscriptionInfo
	for _, s := range x.subscriptions {
		if slices.Contains(h.o.Needs, s.Name) {
			subscriptions = append(subscriptions, s)
		}
	}
	var projections []store.ProjectionInfo
	for _, p := range x.projections {
		if slices.Contains(h.o.Needs, p.Name) {
			projections = append(projections, p)
		}
	}
	return append(Judge(subscriptions, projections, h.o.Limits), h.missing(x)...)
}

// missing returns a finding for each reader in Needs that does not exist.
func (h *Health) missing(x *examined) (found []Finding) {
	for _, name := range h.o.Needs {
		if slices.ContainsFunc(x.subscriptions, func(s store.SubscriptionInfo) bool { return s.Name == name }) ||
			slices.ContainsFunc(x.projections, func(p store.ProjectionInfo) bool { return p.Name == name }) {
			continue
		}
		found = append(found, Finding{
			Kind: KindIdle, Level: Problem, What: fmt.Sprintf("there is no subscription and no projection %q", name),
			Advice: "start the program that runs it, or correct the name in Options.Needs",
		})
	}
	return found
}

// unusable returns the finding for an error of Check, or of the examination.
func (h *Health) unusable(err error) Finding {
	f := Finding{Kind: KindStore, Level: Problem, Error: err.Error()}
	switch {
	case errors.Is(err, store.ErrClosed):
		f.What, f.Advice = "the store of this process is closed", "start the process again, unless it is about to end"
	case errors.Is(err, store.ErrSchema):
		f.What, f.Advice = "the tables are missing, or do not fit this program", "run eventstore migrate"
	case errors.Is(err, store.ErrReadOnly):
		f.What, f.Advice = "the database takes no writes", "connect to the primary"
	case errors.Is(err, store.ErrReplica):
		f.What, f.Advice = "the replica that reads go to can't be read", "see whether it runs and follows its primary"
	case errors.Is(err, store.ErrInvalid), errors.Is(err, store.ErrUnsupportedDatabase):
		f.What, f.Advice = "the store can't be used as this program is configured", "see the log of this process"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		f.What, f.Advice = fmt.Sprintf("the database did not answer within %s", h.o.Timeout), "see whether it runs, and whether the pool of this process is exhausted"
	default:
		f.What, f.Advice = "the database can't be asked", "see whether it runs, and the log of this process"
	}
	return f
}

// sealed completes a report, and removes what is not to be shown.
func (h *Health) sealed(r Report) Report {
	r.Status = Worst(r.Findings)
	if r.Findings == nil {
		r.Findings = []Finding{} // in JSON a list, not null
	}
	if !h.o.ShowErrors {
		for i := range r.Findings {
			r.Findings[i].Error = ""
		}
	}
	return r
}

// answer writes a report.
func (h *Health) answer(w http.ResponseWriter, r *http.Request, report Report) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed; use GET", http.StatusMethodNotAllowed)
		return
	}
	report = h.sealed(report)
	body, err := json.Marshal(report)
	if err != nil {
		http.Error(w, "the report can't be encoded", http.StatusInternalServerError)
		return
	}
	header.Set("Content-Type", "application/json")
	code := http.StatusOK
	if report.Status >= Problem {
		code = http.StatusServiceUnavailable
	}
	w.WriteHeader(code)
	if r.Method != http.MethodHead {
		_, _ = w.Write(append(body, '\n')) // the client has gone if it fails
	}
}
