package life

import (
	"cmp"
	"time"

	"github.com/eventstore-go/eventstore/store/internal/intake"
	"github.com/eventstore-go/eventstore/store/internal/queue"
)

// Closing reports whether the subscription is about to stop. Then it takes no more subscribers.
func (l *Life[E]) Closing() bool { return l.closing != nil }

// Sit adds a subscriber that has at most size events in flight, unless the subscription is closing. The error is
// [queue.ErrFull].
func (l *Life[E]) Sit(size int, wake func()) (*queue.Seat[E], error) { return l.desk.Sit(size, wake) }

// Rise ends a subscriber. It reports whether that was the last one: then the subscription takes no more, and ends.
func (l *Life[E]) Rise(s *queue.Seat[E], why error) (last bool) {
	l.Wait(s, nil)
	left, ok := l.desk.Rise(s, why)
	l.stir()
	if !ok || left > 0 {
		return false
	}
	l.Close(l.opts.Left)
	return true
}

// Close ends the subscription.
func (l *Life[E]) Close(why error) {
	l.closing = cmp.Or(l.closing, why)
	l.opts.WakeRunner()
}

// Take sends a subscriber what there is for it, see [queue.Desk.Take]: only while the lease is valid.
func (l *Life[E]) Take(s *queue.Seat[E], r queue.Request, now time.Time) (items []*queue.Item[E], times int, err error) {
	r.Open = l.tenure.Valid(now)
	items, times, err = l.desk.Take(s, r)
	if len(items) > 0 {
		if _, enough := l.room(); enough && (l.intake.Behind() || l.intake.Filled()) {
			l.opts.WakeRunner()
		}
	}
	l.stir()
	return items, times, err
}

// Let says that a subscriber does not look at items any more that Take returned.
func (l *Life[E]) Let(items []*queue.Item[E]) { l.desk.Queue().Let(items) }

// Idle notes that a subscriber does not wait any more.
func (l *Life[E]) Idle(s *queue.Seat[E]) { l.desk.Idle(s) }

// Return gives items back that the subscriber was not sent after all.
func (l *Life[E]) Return(s *queue.Seat[E], items []*queue.Item[E]) { l.desk.Return(s, items) }

// TakeBack gives everything back that a subscriber has in flight.
func (l *Life[E]) TakeBack(s *queue.Seat[E]) {
	l.desk.TakeBack(s)
	l.stir()
}

// LeaveOut acknowledges an item that a subscriber turned out not to want.
func (l *Life[E]) LeaveOut(s *queue.Seat[E], i *queue.Item[E], now time.Time) {
	if l.desk.LeaveOut(s, i) {
		l.Solved(i.Number, i.Number)
	}
	l.advance(now)
}

// Ack acknowledges events, see [queue.Desk.Ack].
func (l *Life[E]) Ack(s *queue.Seat[E], a queue.Answer, now time.Time) error {
	return l.acked(l.desk.Ack, s, a, now)
}

// AckOnly acknowledges an event, see [queue.Desk.AckOnly].
func (l *Life[E]) AckOnly(s *queue.Seat[E], a queue.Answer, now time.Time) error {
	return l.acked(l.desk.AckOnly, s, a, now)
}

func (l *Life[E]) acked(ack func(*queue.Seat[E], queue.Answer) error, s *queue.Seat[E], a queue.Answer, now time.Time) error {
	a.Open = l.tenure.Valid(now)
	err := ack(s, a)
	if err == nil {
		l.pace.Acked()
		l.advance(now)
		l.answered()
	}
	return err
}

// Nack gives events back, see [queue.Desk.Nack].
func (l *Life[E]) Nack(s *queue.Seat[E], a queue.Answer, now time.Time) error {
	a.Open = l.tenure.Valid(now)
	err := l.desk.Nack(s, a)
	if err == nil {
		l.answered()
	}
	return err
}

// answered looks what an answer of a subscriber has changed.
func (l *Life[E]) answered() {
	if l.ending != nil && l.desk.Queue().Empty() {
		l.opts.WakeRunner()
	}
	l.stir()
}

// advance notes that the checkpoint may have advanced.
func (l *Life[E]) advance(now time.Time) {
	if !l.opts.Transient && l.pace.Advance(l.desk.Queue().Checkpoint(), now) {
		l.opts.WakeRunner()
	}
}

// CheckpointBehind returns the checkpoint that is reached when everything up to a number is acknowledged, which the subscriber has in
// flight.
func (l *Life[E]) CheckpointBehind(s *queue.Seat[E], number int64) (checkpoint int64, ok bool) {
	if !s.InFlight(number, 0) {
		return 0, false
	}
	return l.desk.Queue().CheckpointBehind(number), true
}

// Offer reports a page that the feed has read. first and last are the numbers of its first and last event in a stream. A page of All
// may have no events.
func (l *Life[E]) Offer(p intake.Page[E], first, last int64) {
	if l.intake.Saw(first, last, l.Last()) {
		l.opts.WakeRunner()
	}
	if l.ending != nil {
		return
	}
	wake, tooSlow := l.intake.Offer(p)
	if tooSlow {
		l.ending = l.opts.TooSlow
	}
	if wake {
		l.opts.WakeRunner()
	}
}

// News reports n new events in the subscription's stream, which are to be read from storage.
func (l *Life[E]) News(n int) {
	if l.ending != nil {
		return
	}
	if l.intake.News(n) {
		l.ending = l.opts.TooSlow
	}
	l.opts.WakeRunner()
}

// Overtaken reports that the feed has read up to position, of All.
func (l *Life[E]) Overtaken(position int64) {
	if l.ending == nil && l.intake.Overtaken(position, l.Last()) {
		l.opts.WakeRunner()
	}
}

// Suspect reports that the store, which ends at head, has lost events. The subscription ends if it has received more. Otherwise it
// reads on from storage, and so finds out whether what it has seen is in its place. distrust says that what it reads is no proof.
func (l *Life[E]) Suspect(head int64, distrust bool) {
	if received := l.Last(); received > head && l.ending == nil {
		l.ending = l.opts.PositionLost(received, head)
	}
	l.intake.Miss()
	if distrust {
		l.proof.Doubt()
	}
	l.Doubt()
}

// Doubt has the stream looked at.
func (l *Life[E]) Doubt() {
	l.intake.Doubt()
	l.opts.WakeRunner()
}

// Miss notes that there is more in storage.
func (l *Life[E]) Miss() { l.intake.Miss() }

// BeginRead begins to read a page from storage.
func (l *Life[E]) BeginRead() { l.intake.Read() }

// Differs reports whether there is more in the stream than was received, or another stream.
func (l *Life[E]) Differs(s intake.Stream) bool { return l.intake.Differs(s, l.Last()) }

// Starve reports why the feed can't read, or with nil that it can.
func (l *Life[E]) Starve(why error) {
	if l.reading.Fed(why, &l.list, l.Last()+1, l.pace.Saved()) {
		l.opts.WakeRunner()
	}
}

// Renewed reports that the lease of an epoch was renewed.
func (l *Life[E]) Renewed(epoch int64, until, now time.Time) {
	l.reading.Renewed()
	if l.tenure.Renew(epoch, until, now) {
		l.opts.WakeRunner()
		l.desk.Stir()
		l.opts.WakeWatchers()
	}
}

// LoseLease reports that another process has, or had, the lease of an epoch.
func (l *Life[E]) LoseLease(epoch int64) {
	if l.tenure.Lose(epoch) {
		l.opts.WakeRunner()
	}
}

// Free reports that the lease may be free.
func (l *Life[E]) Free() {
	l.free = true
	l.opts.WakeRunner()
}

// Write returns the checkpoint that is to be written now, if one is due, or will be soon. Written answers.
func (l *Life[E]) Write(soon bool, now time.Time) (at int64, ok bool) {
	at = l.desk.Queue().Checkpoint()
	if l.stage > serving || l.opts.Transient || l.closing != nil || l.tenure.Lost() || l.tenure.Epoch() == 0 || l.retry.After(now) {
		return at, false
	}
	return at, l.pace.Write(at, soon, now)
}

// Written reports the result of writing a checkpoint under the lease of an epoch, in a stream. lost says that the error is the loss of
// that lease.
func (l *Life[E]) Written(epoch, stream int64, err error, lost bool, now time.Time) {
	current := epoch == l.tenure.Epoch() && stream == l.intake.Stream()
	if lost {
		l.tenure.Lose(epoch)
		current = false
	}
	if l.pace.Written(l.desk.Queue().Checkpoint(), err, current, now) {
		l.opts.WakeWatchers()
	}
	l.opts.WakeRunner()
}

// Committed reports that a projection has written a checkpoint in its own transaction.
func (l *Life[E]) Committed(checkpoint int64) {
	if l.pace.Committed(checkpoint, l.desk.Queue().Checkpoint()) {
		l.opts.WakeRunner()
	}
}

// Trouble reports the error of an event, or with number 0 of none, to be shown in the list of subscriptions.
func (l *Life[E]) Trouble(number int64, text string) {
	l.list.Note(number, text)
	l.opts.WakeRunner()
}

// Solved reports that errors about events from first to last are over.
func (l *Life[E]) Solved(first, last int64) {
	if !l.list.Empty() && l.list.Solve(first, last, l.pace.Saved()) {
		l.opts.WakeRunner()
	}
}

// Applied reports that a batch of a projection was committed, see [trouble.List.Applied].
func (l *Life[E]) Applied(over func(number int64) bool) {
	if l.list.Applied(over, l.pace.Saved()) {
		l.opts.WakeRunner()
	}
}

// What others ask.

// Valid reports whether the lease is valid.
func (l *Life[E]) Valid(now time.Time) bool { return l.tenure.Valid(now) }

// IsLost reports whether the lease was lost.
func (l *Life[E]) IsLost() bool { return l.tenure.Lost() }

// Epoch returns that of the lease.
func (l *Life[E]) Epoch() int64 { return l.tenure.Epoch() }

// Writing reports whether a checkpoint is being written.
func (l *Life[E]) Writing() bool { return l.pace.Writing() }

// Saved returns the checkpoint in the database, see [checkpoint.Pace.Saved].
func (l *Life[E]) Saved() int64 { return l.pace.Saved() }

// Stream returns the id of the stream that numbers count in.
func (l *Life[E]) Stream() int64 { return l.intake.Stream() }

// Unknown reports whether that stream is not there yet.
func (l *Life[E]) Unknown() bool { return l.intake.Unknown() }

// Last returns the last number that was read.
func (l *Life[E]) Last() int64 { return l.desk.Queue().Received() }

// Seen returns the last event that was seen.
func (l *Life[E]) Seen() intake.Seen { return l.proof.Seen() }
