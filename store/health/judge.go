package health

import (
	"cmp"
	"fmt"
	"time"

	"github.com/eventstore-go/eventstore/store"
)

// Level is how bad a finding is.
type Level int

// Levels, from good to bad.
const (
	Good    Level = iota // "ok"
	Note                 // "note": worth knowing
	Warning              // "warning": a person should look at it
	Problem              // "problem": something does not work
)

// String returns the level as people read it.
func (l Level) String() string {
	if l < Good || l > Problem {
		return fmt.Sprintf("Level(%d)", int(l))
	}
	return []string{"ok", "note", "warning", "problem"}[l]
}

// MarshalText implements [encoding.TextMarshaler].
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Kind is what a finding is about.
type Kind string

// Kinds of findings.
const (
	KindStore   Kind = "store"   // the tables, or the database
	KindStalled Kind = "stalled" // a reader that a process runs does not move
	KindLag     Kind = "lag"     // a reader is further behind than it may
	KindError   Kind = "error"   // a reader failed last, and the event it failed on is not dealt with
	KindParked  Kind = "parked"  // a reader has put events aside
	KindIdle    Kind = "idle"    // no process runs a reader, and there are events for it
)

// Finding is something that is not as it should be.
type Finding struct {
	Kind  Kind  `json:"kind"`
	Level Level `json:"level"`
	// Stream, Subscription, Projection and Partition name the reader. Either Subscription or Projection is set, unless the finding is of
	// KindStore. Partition is nil if the finding is about a projection as a whole.
	Stream       string `json:"stream,omitempty"`
	Subscription string `json:"subscription,omitempty"`
	Projection   string `json:"projection,omitempty"`
	Partition    *int   `json:"partition,omitempty"`
	What         string `json:"what"`            // one sentence
	Advice       string `json:"advice"`          // what to do
	Error        string `json:"error,omitempty"` // the text of the error, where there is one
}

// Limits say from when on something is a finding. A zero field means its default.
type Limits struct {
	// Stalled is how long a reader may stand still while there are events for it. Default: 1 minute.
	Stalled time.Duration
	// Lag is how many events behind a reader may be. Default: as many as there are.
	Lag int64
	// Delay is how long an event may wait for a reader that has not dealt with it. Default: for ever.
	Delay time.Duration
	// Idle is how many events behind a reader may be that no process runs. Default: 0. The reader is a finding from one more on.
	Idle int64
	// Parked is how many parked events a reader may have. Default: 0.
	Parked int64
}

// DefaultStalled is the default of [Limits].Stalled.
const DefaultStalled = time.Minute

// Judge returns what is not as it should be with subscriptions and projections, as [store.Store.Subscriptions] and
// [store.Store.Projections] list them, in their order.
func Judge(subscriptions []store.SubscriptionInfo, projections []store.ProjectionInfo, limits Limits) []Finding {
	j := judge{limits: limits}
	j.limits.Stalled = cmp.Or(j.limits.Stalled, DefaultStalled)
	for _, s := range subscriptions {
		j.subscription(s)
	}
	for _, p := range projections {
		j.projection(p)
	}
	return j.found
}

type judge struct {
	limits Limits
	found  []Finding
}

// add adds a finding about the reader that like names.
func (j *judge) add(like Finding, kind Kind, level Level, what, advice string) {
	like.Kind, like.Level, like.What, like.Advice = kind, level, what, advice
	j.found = append(j.found, like)
}

func (j *judge) subscription(s store.SubscriptionInfo) {
	of, name := Finding{Stream: s.Stream, Subscription: s.Name}, fmt.Sprintf("%q on %q", s.Name, s.Stream)
	j.reader(of, name, s)
	if s.Parked > j.limits.Parked {
		j.add(of, KindParked, Warning, fmt.Sprintf("%s has parked events: %d", name, s.Parked), "list them, then replay or discard them")
	}
	if !s.Held && s.Lag() > j.limits.Idle {
		j.add(of, KindIdle, Warning, fmt.Sprintf("%s is %d behind, and no process runs it", name, s.Lag()), "start the program that runs it, or delete it")
	}
}

func (j *judge) projection(p store.ProjectionInfo) {
	of, name := Finding{Stream: p.Stream, Projection: p.Name}, fmt.Sprintf("projection %q", p.Name)
	if p.Parked() > j.limits.Parked {
		j.add(of, KindParked, Warning, fmt.Sprintf("%s has parked events: %d", name, p.Parked()), "list them, then replay or discard them")
	}
	if p.ReplacedBy != "" {
		return
	}
	if p.Members == 0 && p.Lag() > j.limits.Idle {
		j.add(of, KindIdle, Warning, fmt.Sprintf("%s is %d behind, and no process runs it", name, p.Lag()), "start the program that runs it, or delete it")
	}
	for _, part := range p.Partitions {
		of.Partition = &part.Partition
		j.reader(of, fmt.Sprintf("partition %d of projection %q", part.Partition, p.Name), part.SubscriptionInfo)
	}
}

// reader adds what is wrong with a subscription, or a partition of a projection.
func (j *judge) reader(of Finding, name string, s store.SubscriptionInfo) {
	if s.LastError != "" {
		about := ""
		if s.LastErrorNumber > 0 {
			about = fmt.Sprintf(" on event %d", s.LastErrorNumber)
		}
		failed := of
		failed.Error = s.LastError
		j.add(failed, KindError, Warning, fmt.Sprintf("%s failed%s at %s", name, about, s.LastErrorAt.Format(time.RFC3339)),
			fmt.Sprintf("look at what its handler does with event %d", max(s.LastErrorNumber, s.Passed()+1)))
	}
	if stalled := s.Stalled(); s.Held && stalled >= j.limits.Stalled {
		j.add(of, KindStalled, Problem, fmt.Sprintf("%s is %d behind and has not moved for %s; %s runs it", name, s.Lag(), stalled.Round(time.Second), s.Owner),
			fmt.Sprintf("look at what its handler does with event %d: it hangs, or fails again and again", s.Passed()+1))
	}
	switch delay := s.Delay(); {
	case j.limits.Lag > 0 && s.Lag() > j.limits.Lag:
		j.add(of, KindLag, Problem, fmt.Sprintf("%s is %d events behind, at most %d are allowed", name, s.Lag(), j.limits.Lag),
			"see whether its handler is too slow, or the process that runs it is down")
	case j.limits.Delay > 0 && delay > j.limits.Delay:
		j.add(of, KindLag, Problem, fmt.Sprintf("an event has waited for %s for %s, at most %s are allowed", name, delay.Round(time.Second), j.limits.Delay),
			"see whether its handler is too slow, or the process that runs it is down")
	}
}

// Worst returns the highest level of findings, [Good] if there are none.
func Worst(findings []Finding) Level {
	worst := Good
	for _, f := range findings {
		worst = max(worst, f.Level)
	}
	return worst
}
