package conformance

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math"

	"github.com/eventstore-go/eventstore/store"
)

// deleting replaces deletes.
func deleting(change func(ctx context.Context, b *broken, r store.DeleteRequest) error) func(b *broken) {
	return func(b *broken) {
		b.delete = func(ctx context.Context, r store.DeleteRequest) error { return change(ctx, b, r) }
	}
}

var deleteFaults = []fault{
	{name: "soft-delete-version-ignored", what: "a soft delete does not look at the version it expects", storage: deleting(
		func(ctx context.Context, b *broken, r store.DeleteRequest) error {
			if r.Kind == store.SoftDelete {
				r.Expected = store.Any
			}
			return b.Storage.Delete(ctx, r)
		})},
	{name: "hard-delete-version-ignored", what: "a hard delete does not look at the version it expects", storage: deleting(
		func(ctx context.Context, b *broken, r store.DeleteRequest) error {
			if r.Kind == store.HardDelete {
				r.Expected = store.Any
			}
			return b.Storage.Delete(ctx, r)
		})},
	{name: "delete-of-nothing", what: "a delete of an absent stream succeeds", storage: deleting(
		func(ctx context.Context, b *broken, r store.DeleteRequest) error {
			if err := b.Storage.Delete(ctx, r); !errors.Is(err, store.ErrStreamNotFound) {
				return err
			}
			return nil
		})},
	{name: "soft-delete-twice", what: "a soft delete of a soft-deleted stream succeeds", storage: deleting(
		func(ctx context.Context, b *broken, r store.DeleteRequest) error {
			if err := b.Storage.Delete(ctx, r); !errors.Is(err, store.ErrStreamDeleted) {
				return err
			}
			return nil
		})},
	{name: "soft-delete-lost", what: "a soft delete does nothing", storage: deleting(
		func(ctx context.Context, b *broken, r store.DeleteRequest) error {
			if r.Kind == store.SoftDelete && b.exists(ctx, r.Stream) && r.Expected.JudgeDelete(r.Stream, store.State{Exists: true, Version: b.version(ctx, r.Stream)}, r.Kind) == nil {
				return nil
			}
			return b.Storage.Delete(ctx, r)
		})},
	{name: "hard-delete-lost", what: "a hard delete does nothing", storage: deleting(
		func(ctx context.Context, b *broken, r store.DeleteRequest) error {
			if r.Kind == store.HardDelete && b.exists(ctx, r.Stream) && r.Judge(store.State{Exists: true, Version: b.version(ctx, r.Stream)}) == nil {
				return nil
			}
			return b.Storage.Delete(ctx, r)
		})},
	{name: "hard-delete-in-two-steps", what: "a hard delete of a stream that is not soft deleted is refused", storage: deleting(
		func(ctx context.Context, b *broken, r store.DeleteRequest) error {
			info, err := b.Storage.StreamInfo(ctx, r.Stream)
			if r.Kind == store.HardDelete && err == nil && info.Status() == store.Active && r.Judge(store.State{Exists: true, Version: info.Version}) == nil {
				return &store.StreamError{Stream: r.Stream, Err: store.ErrStreamExists}
			}
			return b.Storage.Delete(ctx, r)
		})},
	{name: "soft-delete-is-final", what: "a soft-deleted stream can't be hard deleted", storage: deleting(
		func(ctx context.Context, b *broken, r store.DeleteRequest) error {
			if info, err := b.Storage.StreamInfo(ctx, r.Stream); err == nil && info.Status() == store.Deleted && !r.Disabled {
				return &store.StreamError{Stream: r.Stream, Err: store.ErrStreamDeleted}
			}
			return b.Storage.Delete(ctx, r)
		})},
	{name: "hard-delete-always-enabled", what: "the option for hard deletes is not looked at", storage: deleting(
		func(ctx context.Context, b *broken, r store.DeleteRequest) error {
			r.Disabled = false
			return b.Storage.Delete(ctx, r)
		})},
	{name: "disabled-first", what: "the option for hard deletes is judged before the stream", storage: deleting(
		func(ctx context.Context, b *broken, r store.DeleteRequest) error {
			if r.Disabled && r.Kind == store.HardDelete && ctx.Err() == nil {
				return &store.StreamError{Stream: r.Stream, Err: store.ErrHardDeleteDisabled}
			}
			return b.Storage.Delete(ctx, r)
		})},
	{name: "absent-before-version", what: "a delete of an absent stream says so, whatever version was expected", storage: deleting(
		func(ctx context.Context, b *broken, r store.DeleteRequest) error {
			if !b.exists(ctx, r.Stream) && !r.Disabled && ctx.Err() == nil {
				return &store.StreamError{Stream: r.Stream, Err: store.ErrStreamNotFound}
			}
			return b.Storage.Delete(ctx, r)
		})},
	{name: "hard-delete-of-originals", what: "a hard delete of a stream with links destroys the streams that they point to", storage: deleting(
		func(ctx context.Context, b *broken, r store.DeleteRequest) error {
			page, _ := b.Storage.ReadStream(ctx, store.ReadRequest{Stream: r.Stream, From: 1, Limit: math.MaxInt32})
			err := b.Storage.Delete(ctx, r)
			for _, e := range page.Events {
				if err == nil && r.Kind == store.HardDelete && e.Stream != r.Stream {
					_ = b.Storage.Delete(ctx, store.DeleteRequest{Stream: e.Stream, Expected: store.Any, Kind: store.HardDelete})
				}
			}
			return err
		})},
	{name: "delete-by-pattern", what: "the name of a hard-deleted stream is taken as a pattern", storage: deleting(
		func(ctx context.Context, b *broken, r store.DeleteRequest) error {
			err := b.Storage.Delete(ctx, r)
			if err == nil && r.Stream == "s%" {
				_ = b.Storage.Delete(ctx, store.DeleteRequest{Stream: "s1", Expected: store.Any, Kind: r.Kind})
			}
			return err
		})},
	{name: "hard-delete-cut", what: "a hard delete of more than 1,000 events keeps the stream", storage: deleting(
		func(ctx context.Context, b *broken, r store.DeleteRequest) error {
			if b.version(ctx, r.Stream) > 1000 {
				return nil
			}
			return b.Storage.Delete(ctx, r)
		})},
	{name: "version-counts-events", what: "a stream's version is the number of events that it has left", storage: func(b *broken) {
		b.info = func(ctx context.Context, stream string) (store.StreamInfo, error) {
			info, err := b.Storage.StreamInfo(ctx, stream)
			if page, readErr := b.Storage.ReadStream(ctx, store.ReadRequest{Stream: stream, From: 1, Limit: math.MaxInt32}); err == nil && readErr == nil {
				info.Version = int64(len(page.Events))
			}
			return info, err
		}
	}},
	{name: "id-by-name", what: "a stream created again has the id of the one before", storage: func(b *broken) {
		b.info = func(ctx context.Context, stream string) (store.StreamInfo, error) {
			info, err := b.Storage.StreamInfo(ctx, stream)
			if err == nil {
				h := fnv.New32()
				_, _ = fmt.Fprint(h, stream)
				info.ID = int64(h.Sum32())
			}
			return info, err
		}
	}},
	{name: "not-active-again", what: "a stream created again after a soft delete still seems deleted", storage: func(b *broken) {
		was := map[string]store.StreamInfo{}
		b.delete = func(ctx context.Context, r store.DeleteRequest) error {
			info, _ := b.Storage.StreamInfo(ctx, r.Stream)
			err := b.Storage.Delete(ctx, r)
			if err == nil && info.Status() == store.Deleted && r.Stream == "s" {
				was[r.Stream] = info
			}
			return err
		}
		b.info = func(ctx context.Context, stream string) (store.StreamInfo, error) {
			info, err := b.Storage.StreamInfo(ctx, stream)
			if err == nil && stream == "s" {
				info.DeletedAt = was[stream].DeletedAt
			}
			return info, err
		}
	}},
}
