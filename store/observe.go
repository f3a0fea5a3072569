package store

import "context"

// observe tells the observer, if there is one, that an operation begins.
func observe(ctx context.Context, o Observer, op Operation) (context.Context, func(Outcome)) {
	if o == nil {
		return ctx, unobserved
	}
	return o.Begin(ctx, op)
}

func unobserved(Outcome) {}

func (s *Store) observe(ctx context.Context, op Operation) (context.Context, func(Outcome)) {
	return observe(ctx, s.observer, op)
}

func (h *hub) observe(ctx context.Context, op Operation) (context.Context, func(Outcome)) {
	return observe(ctx, h.observer, op)
}

// gaveUp tells the observer that an event is skipped or parked.
func (h *hub) gaveUp(ctx context.Context, op Operation, e Recorded, attempt int, err error) {
	if h.observer == nil {
		return
	}
	op.Events, op.Attempt = []Recorded{e}, attempt
	_, end := h.observer.Begin(ctx, op)
	end(Outcome{Err: err, Count: 1})
}
