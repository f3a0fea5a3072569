package conformance

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

// cancelledSoon waits a little for ctx to end.
func cancelledSoon(ctx context.Context) bool {
	soon := time.NewTimer(100 * time.Millisecond)
	defer soon.Stop()
	select {
	case <-ctx.Done():
		return true
	case <-soon.C:
		return false
	}
}

// acknowledged makes an append that met a known id succeed if same says that it is the same.
func acknowledged(b *broken, same func(ctx context.Context, r store.AppendRequest, there []store.Recorded) bool) {
	b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
		res, err := b.Storage.Append(ctx, r)
		if err == nil || errors.Is(err, store.ErrStreamDeleted) {
			return res, err
		}
		var there []store.Recorded
		for _, n := range r.Events {
			if e, missing := b.Storage.ReadEvent(ctx, n.ID); missing == nil {
				there = append(there, e)
			}
		}
		if len(there) > 0 && same(ctx, r, there) {
			return store.AppendResult{Stream: r.Stream, First: there[0].Version, Last: there[len(there)-1].Version, Retried: true}, nil
		}
		return res, err
	}
}

// retryIf refuses a retry that has an event which is not the same as the one that is there.
func retryIf(b *broken, same func(n store.NewEvent, there store.Recorded) bool) {
	b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
		res, err := b.Storage.Append(ctx, r)
		for _, n := range r.Events {
			if there, missing := b.Storage.ReadEvent(ctx, n.ID); err == nil && res.Retried && missing == nil && !same(n, there) {
				return store.AppendResult{}, &store.DuplicateEventError{Stream: r.Stream, ID: n.ID}
			}
		}
		return res, err
	}
}

// lastOfRetry makes reads of a stream, of which the last append was a retry, change what they found by what the retry has sent.
func lastOfRetry(b *broken, change func(n store.NewEvent, there *store.Recorded)) func(context.Context, store.ReadRequest) (store.StreamPart, error) {
	var mu sync.Mutex
	sent := map[string]map[uuid.UUID]store.NewEvent{}
	b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
		res, err := b.Storage.Append(ctx, r)
		mu.Lock()
		defer mu.Unlock()
		delete(sent, r.Stream)
		if res.Retried {
			sent[r.Stream] = map[uuid.UUID]store.NewEvent{}
			for _, n := range r.Events {
				sent[r.Stream][n.ID] = n
			}
		}
		return res, err
	}
	return func(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
		part, err := b.Storage.ReadStream(ctx, r)
		mu.Lock()
		defer mu.Unlock()
		for i := range part.Events {
			if n, ok := sent[r.Stream][part.Events[i].ID]; ok {
				change(n, &part.Events[i])
			}
		}
		return part, err
	}
}

var retryFaults = []fault{
	{name: "retry-refused", what: "a retry of the very same append is a duplicate", storage: func(b *broken) {
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			res, err := b.Storage.Append(ctx, r)
			if res.Retried {
				return store.AppendResult{}, &store.DuplicateEventError{Stream: r.Stream, ID: r.Events[0].ID}
			}
			return res, err
		}
	}},
	{name: "retry-refused-later", what: "a retry is not known any more when other events came after it", storage: func(b *broken) {
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			res, err := b.Storage.Append(ctx, r)
			if res.Retried && b.version(ctx, r.Stream) > res.Last {
				return store.AppendResult{}, &store.DuplicateEventError{Stream: r.Stream, ID: r.Events[0].ID}
			}
			return res, err
		}
	}},
	{name: "retry-not-told", what: "a retry does not say that it is one", storage: func(b *broken) {
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			res, err := b.Storage.Append(ctx, r)
			res.Retried = false
			return res, err
		}
	}},
	{name: "retry-writes-twice", what: "a retry writes the events once more, under other ids", storage: func(b *broken) {
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			res, err := b.Storage.Append(ctx, r)
			if res.Retried {
				again := store.AppendRequest{Stream: r.Stream, Expected: store.Any, Events: append([]store.NewEvent(nil), r.Events...)}
				for i := range again.Events {
					again.Events[i].ID = uuid.New()
				}
				_, err = b.Storage.Append(ctx, again)
			}
			return res, err
		}
	}},
	{name: "retry-overwrites", what: "a retry replaces what was recorded", storage: func(b *broken) {
		var mu sync.Mutex
		sent := map[uuid.UUID][]byte{}
		b.changed(func(e *store.Recorded) {
			mu.Lock()
			defer mu.Unlock()
			if metadata, ok := sent[e.ID]; ok {
				e.Metadata = metadata
			}
		})
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			res, err := b.Storage.Append(ctx, r)
			mu.Lock()
			defer mu.Unlock()
			for _, e := range r.Events {
				if res.Retried {
					sent[e.ID] = e.Metadata
				}
			}
			return res, err
		}
	}},
	{name: "retry-of-any-content", what: "the same ids are a retry, whatever the events hold", store: func(c *careless) {
		c.append = func(ctx context.Context, stream string, e store.Expected, events []store.Event) (store.AppendResult, error) {
			res, err := c.face.Append(ctx, stream, e, events...)
			var duplicate *store.DuplicateEventError
			if errors.As(err, &duplicate) && duplicate.Differs != "" {
				return store.AppendResult{Stream: stream, First: 1, Last: int64(len(events)), Retried: true}, nil
			}
			return res, err
		}
	}},
	{name: "retry-content-not-told", what: "a duplicate does not say that the content differs", store: func(c *careless) {
		c.append = func(ctx context.Context, stream string, e store.Expected, events []store.Event) (store.AppendResult, error) {
			res, err := c.face.Append(ctx, stream, e, events...)
			var duplicate *store.DuplicateEventError
			if errors.As(err, &duplicate) {
				err = &store.DuplicateEventError{Stream: stream, ID: duplicate.ID}
			}
			return res, err
		}
	}},
	{name: "retry-by-bytes", what: "a retry must have the same bytes", storage: func(b *broken) {
		retryIf(b, func(n store.NewEvent, there store.Recorded) bool { return bytes.Equal(n.Data, there.Data) })
	}},
	{name: "retry-by-metadata", what: "a retry must have the same metadata", storage: func(b *broken) {
		retryIf(b, func(n store.NewEvent, there store.Recorded) bool { return bytes.Equal(n.Metadata, there.Metadata) })
	}},
	{name: "retry-by-correlation", what: "a retry must have the same causation and correlation", storage: func(b *broken) {
		retryIf(b, func(n store.NewEvent, there store.Recorded) bool {
			return n.CausationID == there.CausationID && n.CorrelationID == there.CorrelationID
		})
	}},
	{name: "retry-by-length", what: "data of the same length are the same", storage: func(b *broken) {
		b.readStream = lastOfRetry(b, func(n store.NewEvent, there *store.Recorded) {
			if there.Type == n.Type && len(there.Data) == len(n.Data) {
				there.Data, there.ContentType = n.Data, n.ContentType
			}
		})
	}},
	{name: "retry-first-page", what: "a retry is compared as far as one page goes", storage: func(b *broken) {
		b.readStream = lastOfRetry(b, func(n store.NewEvent, there *store.Recorded) {
			if there.Version > store.DefaultPageSize {
				there.Data, there.ContentType = n.Data, n.ContentType
			}
		})
	}},
	{name: "retry-in-any-order", what: "the same ids to the same stream are a retry, in any order and number", storage: func(b *broken) {
		acknowledged(b, func(_ context.Context, r store.AppendRequest, there []store.Recorded) bool {
			return there[0].Stream == r.Stream && len(there) == len(r.Events) && r.MayBeRetry(there[0].Version)
		})
	}},
	{name: "retry-by-one-id", what: "an append of which one id is in the stream is a retry", storage: func(b *broken) {
		acknowledged(b, func(_ context.Context, r store.AppendRequest, there []store.Recorded) bool {
			return there[0].Stream == r.Stream && len(there) < len(r.Events) && r.MayBeRetry(there[0].Version)
		})
	}},
	{name: "retry-in-any-stream", what: "the same ids are a retry, whatever the stream", storage: func(b *broken) {
		acknowledged(b, func(_ context.Context, r store.AppendRequest, there []store.Recorded) bool {
			return there[0].Stream != r.Stream && len(there) == len(r.Events)
		})
	}},
	{name: "retry-at-any-version", what: "the same ids are a retry, whatever version was expected", storage: func(b *broken) {
		acknowledged(b, func(_ context.Context, r store.AppendRequest, there []store.Recorded) bool {
			return there[0].Stream == r.Stream && len(there) == len(r.Events) && !r.MayBeRetry(there[0].Version)
		})
	}},
	{name: "retry-of-deleted", what: "a retry succeeds although the stream was deleted meanwhile", storage: func(b *broken) {
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			res, err := b.Storage.Append(ctx, r)
			if e, missing := b.Storage.ReadEvent(ctx, r.Events[0].ID); errors.Is(err, store.ErrStreamDeleted) && missing == nil && e.Stream == r.Stream {
				return store.AppendResult{Stream: r.Stream, First: 1, Last: 2, Retried: true}, nil
			}
			return res, err
		}
	}},
	{name: "ids-never-freed", what: "the ids of hard-deleted events stay taken", storage: func(b *broken) {
		var mu sync.Mutex
		used := map[uuid.UUID]bool{}
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			for _, e := range r.Events {
				_, missing := b.Storage.ReadEvent(ctx, e.ID)
				mu.Lock()
				taken := used[e.ID]
				mu.Unlock()
				if taken && missing != nil {
					return store.AppendResult{}, &store.DuplicateEventError{Stream: r.Stream, ID: e.ID}
				}
			}
			res, err := b.Storage.Append(ctx, r)
			mu.Lock()
			defer mu.Unlock()
			for _, e := range r.Events {
				used[e.ID] = used[e.ID] || err == nil
			}
			return res, err
		}
	}},
	{name: "duplicate-not-named", what: "a duplicate does not say which event", storage: func(b *broken) {
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			res, err := b.Storage.Append(ctx, r)
			if errors.Is(err, store.ErrDuplicateEvent) {
				err = store.ErrDuplicateEvent
			}
			return res, err
		}
	}},
}
