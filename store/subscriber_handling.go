package store

import "context"

// grant returns the lease that the subscription has now: its epoch, and a context that ends with it. ok is false if it has none.
func (r *Subscriber) grant() (epoch int64, lease context.Context, ok bool) {
	return r.subscription.grant()
}

// lose gives the lease of an epoch up, since another process has it, or to take it again with the checkpoint that is in the database.
// why is the database's error, or nil.
func (r *Subscriber) lose(epoch int64, why error) {
	r.subscription.warnIfLost(why)
	r.subscription.loseLease(epoch)
}

// trouble notes the last error of the subscription, and the number of the event that it is about, or 0.
func (r *Subscriber) trouble(number int64, err error) { r.subscription.trouble(number, err) }

// over notes that errors about these events are over; 0 stands for those that are about no event.
func (r *Subscriber) over(numbers ...int64) {
	for _, number := range numbers {
		r.subscription.solved(number, number)
	}
}

// committed notes that a checkpoint of a projection was committed, with events that are not acknowledged yet.
func (r *Subscriber) committed(checkpoint int64) { r.subscription.committed(checkpoint) }

// applied notes that a batch of a projection was committed, by which the errors about events with numbers that are over are over.
func (r *Subscriber) applied(over func(number int64) bool) { r.subscription.applied(over) }

// logDecision logs that an event has failed, and what was decided about it.
func (r *Subscriber) logDecision(ctx context.Context, d Decision, e Recorded, attempt int, why error) {
	message := logRetry
	switch d {
	case Skip:
		message = logSkip
	case Park:
		message = logPark
	case Retry, Stop:
	}
	r.subscription.logFailure(ctx, message, &e, attempt, why)
}

// gaveUp tells the log and the observer that an event was skipped or parked.
func (r *Subscriber) gaveUp(ctx context.Context, d Decision, e Recorded, attempt int, why error) {
	r.logDecision(ctx, d, e, attempt, why)
	kind := OpSkip
	if d == Park {
		kind = OpPark
	}
	s := r.subscription
	s.env.gaveUp(ctx, s.operation(kind), e, attempt, why)
}

// notTaken notes that the database has not taken a batch that begins with an event, for a reason that is not in its events.
func (r *Subscriber) notTaken(ctx context.Context, first Recorded, attempt int, err error) {
	r.trouble(first.Number, err)
	r.subscription.logFailure(ctx, logAgain, &first, attempt, err)
}

// sentIn notes the lease under which the subscriber is about to handle something.
func (r *Subscriber) sentIn(epoch int64) {
	r.subscription.mu.Lock()
	defer r.subscription.mu.Unlock()
	r.epoch = epoch
}

// returnAll gives back what the subscriber has in flight.
func (r *Subscriber) returnAll() {
	r.subscription.mu.Lock()
	defer r.subscription.mu.Unlock()
	r.subscription.life.TakeBack(r.seat)
}
