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
