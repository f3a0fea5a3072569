package life

import (
	"fmt"
	"time"

	"github.com/eventstore-go/eventstore/store/internal/intake"
	"github.com/eventstore-go/eventstore/store/internal/queue"
	"github.com/eventstore-go/eventstore/store/internal/trouble"
)

// Grant is a lease that was acquired.
type Grant struct {
	Epoch      int64
	Until      time.Time // zero: for ever
	Checkpoint int64
	StreamID   int64
	Seen       intake.Seen
	Read       bool // a subscriber has read up to Seen
}

// Acquired answers Acquire. The queue begins behind the checkpoint of the lease.
func (l *Life[E]) Acquired(g Grant) {
	l.desk.Void(l.opts.Queue(g.Checkpoint), nil)
	if g.StreamID != l.intake.Stream() {
		l.list = trouble.List{}
	}
	l.reading.Begin(&l.list, g.Checkpoint)
	l.tenure.Take(g.Epoch, g.Until)
	l.pace.Begin(g.Checkpoint)
	l.proof.Begin(g.Seen, g.Read)
	l.intake.Begin(g.StreamID)
	l.stage, l.retry, l.create, l.free = joining, time.Time{}, false, false
}

// Joined answers Join. What the feed offers from then on leaves no gap behind what storage has.
func (l *Life[E]) Joined() { l.stage = serving }

// Noted answers Note.
func (l *Life[E]) Noted(p *trouble.Problem, err error, now time.Time) {
	l.list.Written(p, err, l.pace.Saved())
	if err != nil {
		l.Failed(err, now)
	}
}

// Looked notes what a look at the stream has found: it answers Look, unless the error is to be handed to Tried. If numbers begin
// anew, the queue does.
func (l *Life[E]) Looked(s intake.Stream, now time.Time) error {
	received := l.desk.Queue().Received()
	switch l.intake.Looked(s, received) {
	case intake.Deleted:
		l.ending = l.opts.Deleted
	case intake.Fresh:
		l.desk.Void(l.opts.Queue(0), nil)
		l.proof.Forget()
		l.pace.Restart(now)
		l.list = trouble.List{} // the events are gone; the checkpoint in the new stream clears what is in the database
	case intake.Short:
		return l.opts.PositionLost(received, s.Version)
	}
	return nil
}

// Tried answers Again, Read and Take, and Look: with why events can't be read, or nil.
func (l *Life[E]) Tried(err error, now time.Time) {
	if err != nil {
		if k := l.opts.Kind(err); k == Final || k == Gone {
			l.Failed(err, now)
			return
		}
	}
	received := l.desk.Queue().Received()
	if err != nil {
		err = fmt.Errorf("read behind %d: %w", received, err)
	}
	if l.reading.Own(err, &l.list, received+1, l.pace.Saved()) {
		l.opts.WakeRunner()
	}
	if err != nil {
		l.Failed(err, now)
	}
}

// Failed answers anything with an error.
func (l *Life[E]) Failed(err error, now time.Time) {
	switch kind := l.opts.Kind(err); {
	case kind == Final && l.stage == seeking:
		l.stage, l.why = stopped, err
	case kind == Final:
		l.stage, l.why = leaving, err
	case kind == Gone && l.stage == serving:
		l.stage, l.why = losing, err
	case kind == Held && l.stage == seeking:
		l.create = false              // it is there: if it is deleted meanwhile, it stays deleted
		l.retry = now.Add(l.opts.TTL) // to notice that
		l.set(Waiting, err)
	default:
		l.retry = now.Add(l.opts.Retry)
		l.set(Waiting, err)
	}
}

// Lost answers Lose: what is in flight and queued is void, and the next Take of each seat returns the reason once.
func (l *Life[E]) Lost() {
	l.tenure.Lose(l.tenure.Epoch())
	l.pace.Forgive()
	l.desk.Void(l.opts.Queue(l.desk.Queue().Received()), l.opts.Named(l.why))
	l.set(Waiting, l.why)
	l.stage, l.retry = seeking, time.Time{}
}

// Seal begins to Leave: nothing can be acknowledged any more. It returns the last checkpoint.
func (l *Life[E]) Seal() (checkpoint int64) {
	l.desk.Seal(l.opts.Named(l.why))
	return max(l.desk.Queue().Checkpoint(), l.pace.Saved())
}

// End notes an error that ends the subscription at a number, to be shown in the list of subscriptions.
func (l *Life[E]) End(number int64, why error) { l.list.End(number, why.Error()) }

// Problem returns the error that is still to be noted, or nil.
func (l *Life[E]) Problem() *trouble.Problem { return l.list.Pending() }

// Stopped answers Leave and Stop: it ends all seats.
func (l *Life[E]) Stopped(why error) {
	l.desk.End(l.opts.Named(why))
	l.stage, l.why = stopped, why
	l.set(Stopped, why)
}

// Receive begins to take a page with at most n events into the queue: it returns a batch for them, the last number that was
// received, and the stream that numbers count in. ok is false if the page is one of the feed's that does not follow what was
// received: what was taken for the end of the stream was that of a standby which lags more than the one that the feed has read.
func (l *Life[E]) Receive(n int, after int64) (b *queue.Batch[E], received, stream int64, ok bool) {
	q := l.desk.Queue()
	if received = q.Received(); received < after {
		l.intake.Miss()
		return nil, received, 0, false
	}
	return q.Batch(n), received, l.intake.Stream(), true
}

// Received adds b, and unless it is nil the batch that some items of b have moved to, to the queue, and notes that everything up to
// number was read. With a gap, there are events behind that which the feed does not see.
func (l *Life[E]) Received(number int64, gap bool, now time.Time, b, moved *queue.Batch[E]) {
	q := l.desk.Queue()
	q.Add(b)
	if moved != nil {
		q.Add(moved)
	}
	q.Skip(number)
	if gap {
		l.intake.Miss()
	}
	l.advance(now)
	l.desk.Stir()
}

// Reread begins to take events from a number on, up to the number next, that were read again into the queue. It returns a batch for
// them, up to which number they count, and which of them were dropped.
func (l *Life[E]) Reread(n int, from, next int64) (b *queue.Batch[E], upTo int64, dropped func(number int64) bool) {
	q := l.desk.Queue()
	upTo = min(next-1, q.Received())
	if next == from { // the end: what was dropped is deleted
		upTo = q.Received()
	}
	return q.Batch(n), upTo, func(number int64) bool { return number >= from && number <= upTo && q.WasDropped(number) }
}

// ReceivedAgain adds what was read again up to a number. spare is a batch whose items have moved to b, or nil.
func (l *Life[E]) ReceivedAgain(b, spare *queue.Batch[E], upTo int64, now time.Time) {
	q := l.desk.Queue()
	q.Again(b, upTo)
	if spare != nil {
		q.Add(spare)
	}
	l.advance(now)
	l.desk.Stir()
}

// Ending notes why the subscription ends when all that is queued has been dealt with.
func (l *Life[E]) Ending(why error) { l.ending = why }

// Follow notes that a page was read, see [intake.Proof.Follow].
func (l *Life[E]) Follow(at, last intake.Seen) bool { return l.proof.Follow(at, last) }

// Unproven reports whether the event that the lease came with is to be proven: there is none without a lease.
func (l *Life[E]) Unproven() bool { return l.proof.Unproven() && !l.opts.Transient }

// Prove notes that the database has that event.
func (l *Life[E]) Prove() { l.proof.Prove() }

// Recall returns what the primary is to be asked about, if it is doubted.
func (l *Life[E]) Recall() (seen intake.Seen, ok bool) { return l.proof.Recall() }

// Distrust notes that the primary may not have what was seen.
func (l *Life[E]) Distrust() { l.proof.Doubt() }
