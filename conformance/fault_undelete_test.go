package conformance

import (
	"context"
	"errors"

	"github.com/eventstore-go/eventstore/store"
)

// undeleting replaces undeletes.
func undeleting(change func(ctx context.Context, b *broken, r store.UndeleteRequest) error) func(b *broken) {
	return func(b *broken) {
		b.undelete = func(ctx context.Context, r store.UndeleteRequest) error { return change(ctx, b, r) }
	}
}

// mayUndelete reports whether an undelete may go ahead.
func (b *broken) mayUndelete(ctx context.Context, r store.UndeleteRequest) bool {
	info, err := b.Storage.StreamInfo(ctx, r.Stream)
	return r.Judge(store.State{Exists: err == nil, Version: info.Version, Deleted: info.Status() == store.Deleted}) == nil
}

var undeleteFaults = []fault{
	{name: "undelete-lost", what: "an undelete does nothing", storage: undeleting(
		func(ctx context.Context, b *broken, r store.UndeleteRequest) error {
			if b.mayUndelete(ctx, r) {
				return nil
			}
			return b.Storage.Undelete(ctx, r)
		})},
	{name: "undelete-version-ignored", what: "an undelete does not look at the version it expects", storage: undeleting(
		func(ctx context.Context, b *broken, r store.UndeleteRequest) error {
			if b.exists(ctx, r.Stream) {
				r.Expected = store.Any
			}
			return b.Storage.Undelete(ctx, r)
		})},
	{name: "undelete-of-active", what: "an undelete of a stream that is not deleted succeeds", storage: undeleting(
		func(ctx context.Context, b *broken, r store.UndeleteRequest) error {
			if err := b.Storage.Undelete(ctx, r); !errors.Is(err, store.ErrStreamNotDeleted) {
				return err
			}
			return nil
		})},
	{name: "undelete-of-nothing", what: "an undelete of an absent stream succeeds", storage: undeleting(
		func(ctx context.Context, b *broken, r store.UndeleteRequest) error {
			if err := b.Storage.Undelete(ctx, r); !errors.Is(err, store.ErrStreamNotFound) {
				return err
			}
			return nil
		})},
	{name: "undelete-absent-before-version", what: "an undelete of an absent stream says so, whatever version was expected", storage: undeleting(
		func(ctx context.Context, b *broken, r store.UndeleteRequest) error {
			if !b.exists(ctx, r.Stream) && ctx.Err() == nil {
				return &store.StreamError{Stream: r.Stream, Err: store.ErrStreamNotFound}
			}
			return b.Storage.Undelete(ctx, r)
		})},
	{name: "undelete-by-pattern", what: "the name of the stream to undelete is taken as a pattern", storage: undeleting(
		func(ctx context.Context, b *broken, r store.UndeleteRequest) error {
			err := b.Storage.Undelete(ctx, r)
			if err == nil && r.Stream == "s%" {
				_ = b.Storage.Undelete(ctx, store.UndeleteRequest{Stream: "s1", Expected: store.Any})
			}
			return err
		})},
	{name: "undelete-once", what: "a stream can be undeleted once", storage: func(b *broken) {
		was := map[string]bool{}
		undeleting(func(ctx context.Context, b *broken, r store.UndeleteRequest) error {
			if r.Stream == "s" && was[r.Stream] && b.mayUndelete(ctx, r) {
				return &store.StreamError{Stream: r.Stream, Err: store.ErrStreamNotDeleted}
			}
			err := b.Storage.Undelete(ctx, r)
			was[r.Stream] = was[r.Stream] || err == nil
			return err
		})(b)
	}},
	{name: "undelete-moves-version", what: "an undelete counts as an event of the stream", storage: func(b *broken) {
		moved := map[string]int64{}
		undeleting(func(ctx context.Context, b *broken, r store.UndeleteRequest) error {
			err := b.Storage.Undelete(ctx, r)
			if err == nil && r.Stream == "s" {
				moved[r.Stream]++
			}
			return err
		})(b)
		b.info = func(ctx context.Context, stream string) (store.StreamInfo, error) {
			info, err := b.Storage.StreamInfo(ctx, stream)
			info.Version += moved[stream]
			return info, err
		}
	}},
}
