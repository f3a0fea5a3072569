package store

import "fmt"

// Phase is what a subscription is doing.
type Phase int

const (
	// Waiting for the lease, which another process holds, or for the database. Also while an event is retried for which the handler
	// returned [ErrUnknownVersion]: events of other keys are handled meanwhile. A parked event that is replayed does not count. If only the
	// checkpoint can't be written, events are still sent while the lease is held.
	Waiting Phase = iota
	// CatchingUp reads what was there before, or what it could not take while its queue was full.
	CatchingUp
	// Live is sent events as they come.
	Live
	// Stopped for good. Err says why; it is [ErrSubscriberClosed] if its subscribers left.
	Stopped
)

func (p Phase) String() string {
	if p < Waiting || p > Stopped {
		return fmt.Sprintf("phase %d", int(p))
	}
	return [...]string{"waiting", "catching up", "live", "stopped"}[p]
}

// SubscriptionState is what a subscription is doing, and why.
type SubscriptionState struct {
	Phase Phase
	// Err is why it is Waiting or Stopped: ErrLeaseHeld or ErrLeaseLost, the error of the database, the handler's
	// ErrUnknownVersion, or what ended it. Nil otherwise.
	Err error
}

// SubscriptionError is why a subscription does not go on: it wraps the reason.
type SubscriptionError struct {
	SubscriptionID
	Err error
}

func (e *SubscriptionError) Error() string {
	return fmt.Sprintf("store: subscription %q on %q: %v", e.Name, e.Stream, e.Err)
}
func (e *SubscriptionError) Unwrap() error { return e.Err }

// UnexpectedAckError is [ErrUnexpectedAck] with the number that the subscriber does not have in flight.
type UnexpectedAckError struct {
	SubscriptionID
	Number int64
}

func (e *UnexpectedAckError) Error() string {
	return fmt.Sprintf("store: subscription %q on %q: %d is not in flight at this subscriber", e.Name, e.Stream, e.Number)
}

// Is matches [ErrUnexpectedAck].
func (e *UnexpectedAckError) Is(target error) bool { return target == ErrUnexpectedAck }

// CallbackError is what a Selector, PartitionBy or Mapper said or how it panicked. The event is in flight: acknowledge it
// to leave it out, give it back with Nack to have the callback try again, or close the subscriber.
type CallbackError struct {
	Callback string // "Selector", "PartitionBy" or "Mapper"
	Event    Recorded
	Err      error

	attempt int // how often it was tried; 0 for once
}

func (e *CallbackError) Error() string {
	return fmt.Sprintf("store: %s failed on event %d (%q in %q, version %d): %v",
		e.Callback, e.Event.Number, e.Event.Type, e.Event.Stream, e.Event.Version, e.Err)
}
func (e *CallbackError) Unwrap() error { return e.Err }

// called runs a callback and makes an error of its panic.
func called(name string, e Recorded, f func() error) (failure *CallbackError) {
	defer func() {
		if p := recover(); p != nil {
			err, ok := p.(error)
			if !ok {
				err = fmt.Errorf("%v", p)
			}
			failure = &CallbackError{Callback: name, Event: e, Err: fmt.Errorf("panic: %w", err)}
		}
	}()
	if err := f(); err != nil {
		return &CallbackError{Callback: name, Event: e, Err: err}
	}
	return nil
}
