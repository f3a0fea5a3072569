package conformance

import (
	"context"
	"database/sql"
	"errors"
	"iter"

	"github.com/eventstore-go/eventstore/store"
)

// pinning replaces the reads of streams.
func pinning(change func(ctx context.Context, b *broken, r store.ReadRequest) (store.StreamPart, error)) func(b *broken) {
	return func(b *broken) {
		b.readStream = func(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) { return change(ctx, b, r) }
	}
}

// unpinned reads a page by the name of the stream.
func unpinned(ctx context.Context, b *broken, r store.ReadRequest) (store.StreamPart, error) {
	r.StreamID = 0
	return b.Storage.ReadStream(ctx, r)
}

// seenNow says of a page that it has seen the stream as it is after it was read.
func seenNow(ctx context.Context, b *broken, r store.ReadRequest) (store.StreamPart, error) {
	page, err := b.Storage.ReadStream(ctx, r)
	if err == nil && len(page.Events) < r.Limit {
		page.Version = max(page.Version, b.version(ctx, r.Stream))
	}
	return page, err
}

var pinnedFaults = []fault{
	{name: "pages-by-name", what: "the pages of a read are those of whatever stream has the name", storage: pinning(unpinned)},
	{name: "gone-is-not-found", what: "a stream that is deleted while it is read is not found", storage: pinning(
		func(ctx context.Context, b *broken, r store.ReadRequest) (store.StreamPart, error) {
			page, err := b.Storage.ReadStream(ctx, r)
			if errors.Is(err, store.ErrStreamReplaced) && !b.exists(ctx, r.Stream) {
				err = &store.StreamError{Stream: r.Stream, Err: store.ErrStreamNotFound}
			}
			return page, err
		})},
	{name: "gone-is-the-end", what: "a stream that is deleted while it is read ends there", storage: pinning(
		func(ctx context.Context, b *broken, r store.ReadRequest) (store.StreamPart, error) {
			page, err := b.Storage.ReadStream(ctx, r)
			if errors.Is(err, store.ErrStreamReplaced) && r.From > 1 {
				return r.Page(r.StreamID, 0, store.Part{}), nil
			}
			return page, err
		})},
	{name: "seen-is-the-last", what: "what a read has seen is up to the last event that can be read", storage: pinning(
		func(ctx context.Context, b *broken, r store.ReadRequest) (store.StreamPart, error) {
			page, err := b.Storage.ReadStream(ctx, r)
			if n := len(page.Events); n > 0 && !r.Backward {
				page.Version = page.Events[n-1].Number
			}
			return page, err
		})},
	{name: "seen-is-the-first", what: "what a backward read has seen is up to the last event that can be read", storage: pinning(
		func(ctx context.Context, b *broken, r store.ReadRequest) (store.StreamPart, error) {
			page, err := b.Storage.ReadStream(ctx, r)
			if len(page.Events) > 0 && r.Backward {
				page.Version = page.Events[0].Number
			}
			return page, err
		})},
	{name: "filtered-by-name", what: "a filtered page is of whatever stream has the name", storage: filtering(
		func(ctx context.Context, r store.ReadRequest, f store.EventFilter, read filteredRead) ([]store.Recorded, int64, error) {
			r.StreamID = 0
			return read(ctx, r, f)
		})},
	{name: "seen-when-left", what: "a loop that is left early has seen the page that was fetched", store: func(c *careless) {
		c.stream = func(ctx context.Context, stream string, o *store.ReadOptions) iter.Seq2[store.Recorded, error] {
			return func(yield func(store.Recorded, error) bool) {
				for e, err := range c.face.Stream(ctx, stream, o) {
					if !yield(e, err) {
						if o != nil && o.Seen != nil {
							o.Seen.Version = e.Number
						}
						return
					}
				}
			}
		}
	}},
}

// pinnedTxFaults need other sessions.
var pinnedTxFaults = []fault{
	{name: "pages-by-name-beside", what: "the pages of a read are those of whatever stream has the name by then", tx: func(b *brokenTx) {
		b.readStream = func(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
			return unpinned(ctx, b.broken, r)
		}
	}},
	{name: "seen-too-much", what: "what a read has seen is up to the version that the stream has after it", tx: func(b *brokenTx) {
		b.readStream = func(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
			return seenNow(ctx, b.broken, r)
		}
	}},
}

// pinnedOpenTxFaults need other writers.
var pinnedOpenTxFaults = []fault{
	{name: "pages-by-name-in-tx", what: "in a transaction the pages of a read are those of whatever stream has the name by then", tx: binding(func(_ *sql.Tx, bound *broken) {
		bound.readStream = func(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
			return unpinned(ctx, bound, r)
		}
	})},
}
