package store

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// still is a storage that does nothing, so that only a Store's own allocations are left.
type still struct {
	Storage
	page []Recorded
}

func (still) Append(context.Context, AppendRequest) (AppendResult, error) {
	return AppendResult{First: 1, Last: 1}, nil
}
func (still) Link(context.Context, LinkRequest) (AppendResult, error) {
	return AppendResult{First: 1, Last: 1}, nil
}
func (still) Delete(context.Context, DeleteRequest) error     { return nil }
func (still) Undelete(context.Context, UndeleteRequest) error { return nil }
func (s still) ReadAll(context.Context, ReadRequest) (Part, error) {
	return Part{Events: s.page}, nil
}

// TestNoObserverCostsNothing compares each operation with what it was before it could be observed.
func TestNoObserverCostsNothing(t *testing.T) { // not parallel: it counts allocations
	ctx := t.Context()
	s := New(still{page: make([]Recorded, 2)}, nil)
	ids := []uuid.UUID{{1}, {2}}
	events := []Event{{Type: "happened", Data: 1, Metadata: map[string]string{"user": "u-1"}}, {Type: "happened"}}
	read := func(next func(*reader, context.Context) ([]Recorded, error)) func() error {
		r, err := s.reader(All, nil, DefaultPageSize)
		require.NoError(t, err)
		return func() error {
			r.request.From = 0
			_, err := next(r, ctx)
			return err
		}
	}
	c := &consumer{
		subscriber: &Subscriber{subscription: &subscription{env: &env{}}},
		handler:    func(context.Context, Recorded) error { return nil },
	}
	lease, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, op := range []struct {
		name            string
		watched, before func() error
	}{
		{"append", func() error { _, err := s.Append(ctx, "a", Any, events...); return err },
			func() error { _, err := s.append(ctx, "a", Any, events); return err }},
		{"link", func() error { _, err := s.Link(ctx, "a", Any, ids...); return err },
			func() error { _, err := s.link(ctx, "a", Any, ids); return err }},
		{"delete", func() error { return s.Delete(ctx, "a", Any, SoftDelete) },
			func() error { return s.delete(ctx, "a", Any, SoftDelete) }},
		{"undelete", func() error { return s.Undelete(ctx, "a", Any) }, func() error { return s.undelete(ctx, "a", Any) }},
		{"read", read((*reader).next), read(func(r *reader, ctx context.Context) ([]Recorded, error) {
			r.request.Limit = min(r.pageSize, r.left)
			page, err := r.page(ctx, r.request)
			return page.Events, err
		})},
		{"handle", func() error { return c.call(ctx, lease, Recorded{}, 1) }, func() error {
			ctx, cancel := context.WithCancelCause(ctx)
			defer cancel(nil)
			defer context.AfterFunc(lease, func() { cancel(context.Cause(lease)) })()
			e := Recorded{}
			return c.handler(WithCause(ctx, e), e)
		}},
		{"a batch", func() error {
			_, end := c.subscriber.subscription.env.observe(ctx, Operation{Kind: OpProject, Subscription: "p", Events: s.storage.(still).page})
			end(Outcome{Count: 2})
			return nil
		}, func() error { return nil }},
		{"skip", func() error {
			c.subscriber.subscription.env.gaveUp(ctx, Operation{Kind: OpSkip}, Recorded{CreatedAt: time.Now()}, 1, nil)
			return nil
		}, func() error { return nil }},
	} {
		allocs := func(f func() error) float64 {
			return testing.AllocsPerRun(200, func() {
				if err := f(); err != nil {
					t.Fatal(op.name, err)
				}
			})
		}
		require.Equal(t, allocs(op.before), allocs(op.watched), op.name)
	}
}
