package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Router calls a handler for each value that an event stands for, by the value's Go type. Its Handle is a [Handler] for
// [Store.Consume], and works as well on events that were read; its HandleBatch is a [BatchHandler] for [Store.Project]. It
// is safe for concurrent use when all handlers are added.
type Router struct {
	handlers map[reflect.Type]func(ctx context.Context, e Recorded, value any) error
	rest     Handler
	fits     atomic.Pointer[codec] // the last one that makes values for all handlers

	mu        sync.Mutex
	unhandled map[string]int64 // events by type
}

// NewRouter returns a router without handlers.
func NewRouter() *Router {
	return &Router{handlers: map[reflect.Type]func(context.Context, Recorded, any) error{}, unhandled: map[string]int64{}}
}

// On adds the handler for values of type T, which must be registered with the Store's serializer: otherwise the router refuses every
// event with an [UnregisteredTypeError]. It panics if there is a handler for T already, or if T is an interface, which is no value's type.
func On[T any](r *Router, handler func(ctx context.Context, e Recorded, value T) error) {
	t := reflect.TypeFor[T]()
	if r.handlers[t] != nil {
		panic(fmt.Sprintf("store: two handlers for %s", t))
	}
	if t.Kind() == reflect.Interface {
		panic(fmt.Sprintf("store: a handler for the interface %s: add one for each type that implements it", t))
	}
	r.fits.Store(nil)
	r.handlers[t] = func(ctx context.Context, e Recorded, value any) error { return handler(ctx, e, value.(T)) }
}

// Else sets what is called, once, for an event with a value that there is no handler for, or whose type is not registered.
// Default: nothing, the event is passed over; Unhandled tells which there were.
func (r *Router) Else(handler Handler) { r.rest = handler }

// Unhandled returns how many events of which types there was no handler for.
func (r *Router) Unhandled() map[string]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.unhandled)
}

// Handle calls the handlers for the event's values, in order, until one fails. The error is the handler's, a [DecodeError], which is
// [ErrUnknownVersion] if the event's type is registered, but not in the event's version, or an [UnregisteredTypeError] if there is a
// handler that no event will ever be for.
func (r *Router) Handle(ctx context.Context, e Recorded) error {
	if err := r.check(e.codec); err != nil {
		return err
	}
	values, err := e.Values()
	if errors.Is(err, ErrUnknownType) {
		return r.other(ctx, e)
	}
	if err != nil {
		return err
	}
	other := false
	for _, value := range values {
		handler := r.handlers[reflect.TypeOf(value)]
		if handler == nil {
			other = true
			continue
		}
		if err := handler(ctx, e, value); err != nil {
			return err
		}
	}
	if other {
		return r.other(ctx, e)
	}
	return nil
}

// check returns why handlers will never be called for events of a Store with this codec.
func (r *Router) check(c *codec) error {
	if c != nil && r.fits.Load() == c {
		return nil
	}
	types := slices.SortedFunc(maps.Keys(r.handlers), func(a, b reflect.Type) int { return strings.Compare(a.String(), b.String()) })
	errs := make([]error, len(types))
	for i, t := range types {
		errs[i] = c.checkType(t)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	r.fits.Store(c)
	return nil
}

// HandleBatch is Handle for each of a projection's events. Handlers get its transaction by [TxFrom], and a context that
// carries the event as the cause of what they append, see [WithCause].
func (r *Router) HandleBatch(ctx context.Context, tx *sql.Tx, events []Recorded) error {
	ctx = context.WithValue(ctx, txKey{}, tx)
	for _, e := range events {
		if err := r.Handle(WithCause(ctx, e), e); err != nil {
			return err
		}
	}
	return nil
}

// txKey is the key of a projection's transaction in a context.
type txKey struct{}

// TxFrom returns the transaction of the projection whose handler ctx was given to, or nil if ctx is of no such handler.
func TxFrom(ctx context.Context) *sql.Tx {
	tx, _ := ctx.Value(txKey{}).(*sql.Tx)
	return tx
}

// other deals with what there is no handler for.
func (r *Router) other(ctx context.Context, e Recorded) error {
	r.mu.Lock()
	r.unhandled[e.Type]++
	r.mu.Unlock()
	if r.rest == nil {
		return nil
	}
	return r.rest(ctx, e)
}
