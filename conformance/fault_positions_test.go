package conformance

import (
	"context"
	"errors"
	"time"

	"github.com/eventstore-go/eventstore/store"
)

// positionFaults break PositionAt and VersionAt.
var positionFaults = []fault{
	{name: "position-of-creation", what: "the creation times of events decide", storage: func(b *broken) {
		b.positionAt = func(ctx context.Context, t time.Time) (int64, error) {
			part, err := b.Storage.ReadAll(ctx, store.ReadRequest{From: 1, Limit: 1000})
			position := int64(0)
			for _, e := range part.Events {
				if e.CreatedAt.Before(t) {
					position = e.Number
				}
			}
			return position, err
		}
	}},
	{name: "position-inclusive", what: "the position given at the time counts as before it", storage: func(b *broken) {
		b.positionAt = func(ctx context.Context, t time.Time) (int64, error) {
			return b.Storage.(store.PastStorage).PositionAt(ctx, t.Add(time.Microsecond))
		}
	}},
	{name: "position-odd", what: "the search ends one position early at each fifth", storage: func(b *broken) {
		b.positionAt = func(ctx context.Context, t time.Time) (int64, error) {
			position, err := b.Storage.(store.PastStorage).PositionAt(ctx, t)
			if position%5 == 0 && position > 0 {
				position--
			}
			return position, err
		}
	}},
	{name: "position-of-now", what: "a time after all events is no position", storage: func(b *broken) {
		b.positionAt = func(ctx context.Context, t time.Time) (int64, error) {
			if t.After(time.Now()) {
				return 0, nil
			}
			return b.Storage.(store.PastStorage).PositionAt(ctx, t)
		}
	}},
	{name: "version-at-now", what: "the version at a position is that of today", storage: func(b *broken) {
		b.versionAt = func(ctx context.Context, stream string, position int64) (int64, error) {
			info, err := b.Storage.StreamInfo(ctx, stream)
			if _, failed := b.Storage.(store.PastStorage).VersionAt(ctx, stream, position); failed != nil {
				err = failed
			}
			return info.Version, err
		}
	}},
	{name: "version-at-deleted", what: "a soft-deleted stream has versions at positions", storage: func(b *broken) {
		b.versionAt = func(ctx context.Context, stream string, position int64) (int64, error) {
			version, err := b.Storage.(store.PastStorage).VersionAt(ctx, stream, position)
			if errors.Is(err, store.ErrStreamDeleted) {
				return 1, nil
			}
			return version, err
		}
	}},
	{name: "version-at-links", what: "links count from their own version on", storage: func(b *broken) {
		b.versionAt = func(ctx context.Context, stream string, position int64) (int64, error) {
			version, err := b.Storage.(store.PastStorage).VersionAt(ctx, stream, position)
			part, failed := b.Storage.ReadStream(ctx, store.ReadRequest{Stream: stream, From: version + 1, Limit: 1})
			if err == nil && failed == nil && len(part.Events) > 0 && part.Events[0].Stream != stream {
				version++
			}
			return version, err
		}
	}},
}
