// Package storetest helps programs test what they build on a store: aggregates, projections, subscriptions, and the events that they
// record.
//
//	func TestWithdraw(t *testing.T) {
//		es := storetest.New(t)
//		...
//	}
//
// # A store for each test
//
//   - [New] returns a Store in memory; [Open] one on any backend with any options. Both close it when the test ends, and write its log to
//     the test's.
//   - [SQLite] makes a backend on a database of the test's own. For PostgreSQL there is pgtest.New, in backend/postgres/pgtest.
//   - [IDs] and [Clock] fix the ids and times of events; [Logger] writes to the test's log.
//
// # What is tested
//
//   - [Decider] and [Aggregate] test commands: given these events, when this is decided, then these events are appended, or this error is
//     returned.
//   - [Project] runs a projection on the events that are there, in real transactions, and returns when it has applied them.
//   - [WaitIdle] waits until all subscriptions and projections have caught up.
//   - [Golden] compares the events of a stream, or of all streams, with a file that people can read; [History] returns that text.
//
// Functions that take a testing.TB end the test by FailNow if they fail, so call them from the test's goroutine. Except where their comment
// says so, they wait at most [Limit], and never beyond the deadline of the test binary.
//
// In a bubble of testing/synctest, a Store in memory needs no real time: waits for retries, leases and checkpoints take none. The times of
// its events are those of the bubble's clock.
package storetest
