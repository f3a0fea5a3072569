// Package life decides what a subscription does next: it holds what is known of one subscription in one process, and puts the
// other machines together.
//
// The package does no I/O, starts no goroutine, and has no lock and no clock: the time is a parameter, and errors are values that
// the caller has classified. None of its types is safe for concurrent use.
//
// It is used like this, in the manner of the state machine of etcd's raft, but with one thing to do at a time:
//
//	callers, the feed, leases, checkpoints:  lock; an event of Life; unlock
//	the subscription's goroutine:            lock; todo := Next(now); unlock; do it; lock; its answer; unlock; again
package life

import (
	"time"

	"github.com/eventstore-go/eventstore/store/internal/checkpoint"
	"github.com/eventstore-go/eventstore/store/internal/intake"
	"github.com/eventstore-go/eventstore/store/internal/lease"
	"github.com/eventstore-go/eventstore/store/internal/queue"
	"github.com/eventstore-go/eventstore/store/internal/trouble"
)

// Options is what a Life is made with. No function may block or call the Life.
type Options[E any] struct {
	All       bool // it is a subscription of All, not of a stream
	Transient bool // it has no lease and no checkpoint in the database
	Existing  bool // it is not created
	Seats     int  // how many there may be
	Page      int  // with room for so many events a page is read
	Limit     int  // how many events are read at a time
	Bytes     int  // with more bytes queued none is read
	Retry     time.Duration
	TTL       time.Duration // of leases
	Policy    checkpoint.Policy
	Inbox     intake.Limits

	Queue func(checkpoint int64) *queue.Queue[E] // makes a queue that goes on behind a checkpoint
	Weigh func([]E) int                          // returns the bytes of events
	Kind  func(error) Kind                       // classifies an error
	Named func(error) error                      // adds which subscription an error is of

	Left         error                         // the reason when the last subscriber has left
	LeaseLost    error                         // the reason when the lease is lost, or has expired
	Deleted      error                         // the reason when the stream is deleted
	TooSlow      error                         // the reason when a subscription is too far behind
	PositionLost func(after, head int64) error // the reason when the stream ends before what was received

	WakeRunner   func() // Next may return something else
	WakeWatchers func() // the state, or what goes with it, has changed
}

// Kind is what an error means for a subscription.
type Kind int

// The kinds.
const (
	Passing Kind = iota // trying again may help
	Final               // the subscription ends
	Held                // another process has the lease
	Gone                // this process has lost the lease
)

// Life is the life of one subscription in one process.
//
//	| stage    | the first that holds                         | to do; next stage                                              |
//	|----------|----------------------------------------------|----------------------------------------------------------------|
//	| Seeking  | closed, or without subscribers               | Stop; Stopped                                                  |
//	|          | before the retry, and no lease is said to be free | Rest                                                      |
//	|          | else                                         | Acquire. Acquired: Joining. Failed: Waiting, retry; Final: Stopped |
//	| Joining  | closed or without subscribers / lease lost   | Leaving / Losing                                               |
//	|          | before the retry                             | Rest                                                           |
//	|          | else                                         | Join. Joined: Serving. Failed: Waiting, retry; Final: Leaving  |
//	| Serving  | closed or without subscribers / lease lost   | Leaving / Losing                                               |
//	|          | before the retry                             | Rest                                                           |
//	|          | the last checkpoint was not written          | as Failed                                                      |
//	|          | an error is to be noted                      | Note                                                           |
//	|          | ending: all is dealt with / not yet          | Leaving / Rest                                                 |
//	|          | the stream is in doubt                       | Look                                                           |
//	|          | dropped events are wanted, in turns with new ones | Again                                                     |
//	|          | no room for a page                           | Rest                                                           |
//	|          | behind                                       | CatchingUp, Read                                               |
//	|          | something in the inbox                       | Live, Take                                                     |
//	|          | the feed can't read, or the lease has expired | Waiting, Rest                                                 |
//	|          | else                                         | Live, Rest                                                     |
//	|          | Failed: Passing / Gone / Final               | Waiting, retry / Losing / Leaving                              |
//	| Losing   | a write is under way / else                  | Rest / Lose. Lost: Waiting, Seeking                            |
//	| Leaving  | a write is under way / transient / else      | Rest / Stop / Leave. Stopped                                   |
//	| Stopped  |                                              | Stop                                                           |
//
// Next is called by one goroutine, which answers everything but Rest once. Stages go along the table only.
type Life[E any] struct {
	opts    Options[E]
	stage   stage
	why     error // it is Losing or Leaving, or has Stopped
	create  bool  // the subscription may be created
	free    bool  // its lease is said to be free
	retry   time.Time
	closing error // why it takes no more subscribers
	ending  error // why it ends when all that is queued has been dealt with
	again   bool  // the last thing to do was Again
	due     bool  // a checkpoint is, which the writer is to be woken for

	desk    *queue.Desk[E]
	pace    *checkpoint.Pace
	tenure  lease.Tenure
	intake  *intake.Intake[E]
	proof   intake.Proof
	list    trouble.List
	reading trouble.Reading
	phase   phase[E]
}

// stage is how far a subscription has come.
type stage int

const (
	seeking stage = iota
	joining
	serving
	losing
	leaving
	stopped
)

// New returns a Life that has not begun.
func New[E any](o Options[E]) *Life[E] {
	return &Life[E]{
		opts: o, create: !o.Existing, desk: queue.NewDesk(o.Queue(0), o.Seats), pace: checkpoint.New(o.Policy),
		intake: intake.New(o.All, o.Inbox, o.Weigh),
	}
}

// Do is a kind of thing to do.
type Do int

// The kinds. All but Rest are answered.
const (
	Rest    Do = iota // until Todo.Until, unless it is zero, or the runner is woken
	Acquire           // acquire the lease: Acquired, or Failed
	Join              // become a member of the feed: Joined, or Failed
	Note              // write Todo.Problem to the list of subscriptions: Noted
	Look              // look at the stream: Looked, or Tried with an error
	Again             // read events again from Todo.From on: Tried
	Read              // read Todo.Limit events behind the last one: Tried
	Take              // take Todo.Page into the queue: Tried
	Lose              // leave the feed: Lost
	Leave             // give the lease up: Stopped
	Stop              // end, because of Todo.Why: Stopped
)

// Todo is what is to be done next.
type Todo[E any] struct {
	Do      Do
	Changed bool // first of all: the state has changed
	Due     bool // and a checkpoint is due: wake the writer
	Until   time.Time
	Create  bool // the subscription may be created
	Problem *trouble.Problem
	From    int64
	Limit   int
	Page    intake.Page[E]
	Why     error
}

// Next returns what to do next.
func (l *Life[E]) Next(now time.Time) Todo[E] {
	t := l.next(now)
	if t.Do == Rest && l.stage != seeking {
		if t.Until.IsZero() {
			t.Until = l.pace.Deadline(l.desk.Queue().Checkpoint())
		}
		if end := l.tenure.Deadline(now); t.Until.IsZero() || !end.IsZero() && end.Before(t.Until) {
			t.Until = end
		}
		if l.stage == serving && l.tenure.Expired(now) && l.phase.now != Waiting {
			l.set(Waiting, l.opts.LeaseLost)
		}
	}
	t.Changed, t.Due = l.phase.told(), l.due
	l.due = false
	return t
}

func (l *Life[E]) next(now time.Time) Todo[E] {
	switch l.stage {
	case seeking:
		return l.seek(now)
	case joining, serving:
		if t, ok := l.interrupted(now); ok {
			return t
		}
		if l.stage == joining {
			return Todo[E]{Do: Join}
		}
		return l.serve(now)
	case losing:
		if l.pace.Writing() {
			return Todo[E]{Do: Rest}
		}
		return Todo[E]{Do: Lose, Why: l.why}
	case leaving:
		switch {
		case l.pace.Writing():
			return Todo[E]{Do: Rest}
		case !l.opts.Transient:
			return Todo[E]{Do: Leave, Why: l.why}
		}
	}
	return l.stop(l.why)
}

// seek is Next before there is a lease.
func (l *Life[E]) seek(now time.Time) Todo[E] {
	switch why := l.left(); {
	case why != nil:
		return l.stop(why)
	case l.retry.After(now) && !l.free:
		return Todo[E]{Do: Rest, Until: l.retry}
	}
	l.free = false
	return Todo[E]{Do: Acquire, Create: l.create}
}

func (l *Life[E]) stop(why error) Todo[E] {
	l.stage, l.why = stopped, why
	return Todo[E]{Do: Stop, Why: why}
}

// left returns why the subscription has no subscribers any more, or nil.
func (l *Life[E]) left() error {
	if l.closing == nil && l.desk.Seats() == 0 {
		l.closing = l.opts.Left
	}
	return l.closing
}

// interrupted returns what comes before all else while there is a lease.
func (l *Life[E]) interrupted(now time.Time) (t Todo[E], ok bool) {
	switch why := l.left(); {
	case why != nil:
		l.stage, l.why = leaving, why
	case l.tenure.Lost():
		l.stage, l.why = losing, l.opts.LeaseLost
	case l.retry.After(now):
		return Todo[E]{Do: Rest, Until: l.retry}, true
	default:
		return t, false
	}
	return l.next(now), true
}

// serve is Next while there is a lease, and the subscription is a member of the feed.
func (l *Life[E]) serve(now time.Time) Todo[E] {
	q := l.desk.Queue()
	if err := l.pace.Failure(); err != nil {
		l.Failed(err, now)
		return l.next(now)
	}
	if !l.opts.Transient && l.pace.Ask(q.Checkpoint(), now) {
		l.due = true
	}
	if p := l.list.Pending(); p != nil && !l.opts.Transient {
		l.list.Write(p)
		return Todo[E]{Do: Note, Problem: p}
	}
	if l.clogged() {
		q.Press()
	}
	room, enough := l.room()
	l.intake.Appeared()
	from, again := q.Wants()
	again = again && (!l.again || !enough || !l.intake.Behind() && !l.intake.Filled())
	l.again = again
	switch {
	case l.ending != nil && q.Empty():
		l.stage, l.why = leaving, l.ending
		return l.next(now)
	case l.ending != nil:
		return Todo[E]{Do: Rest}
	case l.intake.InDoubt():
		l.intake.Look()
		return Todo[E]{Do: Look}
	case again:
		return Todo[E]{Do: Again, From: from}
	case !enough:
		if l.phase.now == Waiting || l.phase.waits() {
			l.goOn(CatchingUp, now) // when there is room
		}
		return Todo[E]{Do: Rest}
	case l.intake.Behind():
		l.goOn(CatchingUp, now)
		return Todo[E]{Do: Read, Limit: min(room, l.opts.Limit)}
	case l.intake.Filled():
		l.goOn(Live, now)
		return Todo[E]{Do: Take, Page: l.intake.Take(room)}
	}
	l.goOn(Live, now)
	return Todo[E]{Do: Rest}
}

// room returns how many more events the queue takes, and whether that is enough to read a page. A page may have Options.Bytes,
// whatever is queued: so the queue has twice as much at most.
func (l *Life[E]) room() (events int, enough bool) {
	q := l.desk.Queue()
	events = q.Room()
	return events, events >= l.opts.Page && q.Bytes() <= l.opts.Bytes
}

// clogged reports whether a subscriber has nothing to do, since the queue is full of events behind others in flight.
func (l *Life[E]) clogged() bool {
	_, enough := l.room()
	return !enough && (l.intake.Behind() || l.intake.Filled() || l.desk.Queue().Dropped()) && l.desk.Starved()
}

// stir wakes the runner if the queue is clogged, or events that were dropped are to be read again.
func (l *Life[E]) stir() {
	if _, again := l.desk.Queue().Wants(); again || l.clogged() {
		l.opts.WakeRunner()
	}
}
