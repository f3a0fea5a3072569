package conformance

import (
	"context"
	"errors"
	"sync"

	"github.com/eventstore-go/eventstore/store"
)

var expectedFaults = []fault{
	{name: "version-ignored", what: "an append does not look at the version it expects", storage: func(b *broken) {
		b.requested(func(r *store.AppendRequest) {
			if _, is := r.Expected.AsVersion(); is && r.Expected != store.NoStream {
				r.Expected = store.Any
			}
		})
	}},
	{name: "version-off-by-one", what: "an append expecting version n wants n-1", storage: func(b *broken) {
		b.requested(func(r *store.AppendRequest) {
			if n, is := r.Expected.AsVersion(); is && n > 0 {
				r.Expected = store.Version(n - 1)
			}
		})
	}},
	{name: "version-0-wants-a-stream", what: "an append expecting version 0 needs an existing stream", storage: func(b *broken) {
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			if r.Expected == store.Version(0) && !b.exists(ctx, r.Stream) {
				return store.AppendResult{}, &store.WrongExpectedVersionError{Stream: r.Stream, Expected: r.Expected}
			}
			return b.Storage.Append(ctx, r)
		}
	}},
	{name: "no-stream-ignored", what: "an append expecting no stream takes any", storage: func(b *broken) {
		b.requested(func(r *store.AppendRequest) {
			if r.Expected == store.NoStream {
				r.Expected = store.Any
			}
		})
	}},
	{name: "stream-exists-creates", what: "an append expecting an existing stream creates one", storage: func(b *broken) {
		b.requested(func(r *store.AppendRequest) {
			if r.Expected == store.StreamExists {
				r.Expected = store.Any
			}
		})
	}},
	{name: "stream-exists-conflicts", what: "an append expecting an existing stream fails if the stream moved on since it was created", storage: func(b *broken) {
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			if v := b.version(ctx, r.Stream); r.Expected == store.StreamExists && v > 1 {
				return store.AppendResult{}, &store.WrongExpectedVersionError{Stream: r.Stream, Expected: store.Version(1), Actual: v}
			}
			return b.Storage.Append(ctx, r)
		}
	}},
	{name: "any-wants-a-stream", what: "an append expecting anything needs an existing stream", storage: func(b *broken) {
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			if r.Expected == store.Any && !b.exists(ctx, r.Stream) {
				return store.AppendResult{}, &store.StreamError{Stream: r.Stream, Err: store.ErrStreamNotFound}
			}
			return b.Storage.Append(ctx, r)
		}
	}},
	{name: "any-conflicts", what: "an append expecting anything fails if the stream is long", storage: func(b *broken) {
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			if v := b.version(ctx, r.Stream); r.Expected == store.Any && v >= atN {
				return store.AppendResult{}, &store.WrongExpectedVersionError{Stream: r.Stream, Expected: r.Expected, Actual: v}
			}
			return b.Storage.Append(ctx, r)
		}
	}},
	{name: "tombstone", what: "a hard-deleted stream can't be created again", storage: func(b *broken) {
		var mu sync.Mutex
		gone := map[string]bool{}
		buried := func(stream string) error {
			mu.Lock()
			defer mu.Unlock()
			if gone[stream] {
				return &store.StreamError{Stream: stream, Err: store.ErrStreamDeleted}
			}
			return nil
		}
		b.delete = func(ctx context.Context, r store.DeleteRequest) error {
			err := b.Storage.Delete(ctx, r)
			if err == nil && r.Kind == store.HardDelete {
				mu.Lock()
				defer mu.Unlock()
				gone[r.Stream] = true
			}
			return err
		}
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			if err := buried(r.Stream); err != nil {
				return store.AppendResult{}, err
			}
			return b.Storage.Append(ctx, r)
		}
		b.link = func(ctx context.Context, r store.LinkRequest) (store.AppendResult, error) {
			if err := buried(r.Stream); err != nil {
				return store.AppendResult{}, err
			}
			return b.Storage.Link(ctx, r)
		}
	}},
	{name: "deleted-forgotten", what: "an append to a soft-deleted stream says that all is well", storage: func(b *broken) {
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			res, err := b.Storage.Append(ctx, r)
			if errors.Is(err, store.ErrStreamDeleted) {
				return store.AppendResult{Stream: r.Stream, First: 4, Last: 4}, nil
			}
			return res, err
		}
	}},
	{name: "conflict-without-data", what: "a conflict does not say which version was found", storage: func(b *broken) {
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			res, err := b.Storage.Append(ctx, r)
			if conflict := (*store.WrongExpectedVersionError)(nil); errors.As(err, &conflict) {
				conflict.Actual = -1
			}
			return res, err
		}
	}},
	{name: "not-atomic", what: "an append that meets a known id keeps the events before it", storage: func(b *broken) {
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			res, err := b.Storage.Append(ctx, r)
			if duplicate := (*store.DuplicateEventError)(nil); errors.As(err, &duplicate) {
				for i, e := range r.Events {
					if e.ID == duplicate.ID && i > 0 {
						r.Events = r.Events[:i]
						_, _ = b.Storage.Append(ctx, r)
						break
					}
				}
			}
			return res, err
		}
	}},
	{name: "parameter-limit", what: "an append of more than 7,281 events fails", storage: func(b *broken) {
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			if len(r.Events) > 7_281 {
				return store.AppendResult{}, errors.New("too many bind parameters")
			}
			return b.Storage.Append(ctx, r)
		}
	}},
	{name: "large-append-cut", what: "of an append the first 1,000 events are written", storage: func(b *broken) {
		b.requested(func(r *store.AppendRequest) { r.Events = r.Events[:min(len(r.Events), 1000)] })
	}},
	{name: "wrong-result", what: "an append gives the version before the first event as the first", storage: func(b *broken) {
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			res, err := b.Storage.Append(ctx, r)
			if err == nil {
				res.First = max(res.First-1, 0)
			}
			return res, err
		}
	}},
	{name: "lost-append", what: "an append of two events or more says it succeeded, and writes nothing", storage: func(b *broken) {
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			if v := b.version(ctx, r.Stream); len(r.Events) == 2 {
				return store.AppendResult{Stream: r.Stream, First: v + 1, Last: v + 2}, nil
			}
			return b.Storage.Append(ctx, r)
		}
	}},
	{name: "half-cancelled", what: "an append that is cancelled under way leaves half of its events", storage: func(b *broken) {
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			if len(r.Events) == 500 && cancelledSoon(ctx) {
				r.Events = r.Events[:250]
				_, _ = b.Storage.Append(context.WithoutCancel(ctx), r)
				return store.AppendResult{}, ctx.Err()
			}
			return b.Storage.Append(ctx, r)
		}
	}},
}
