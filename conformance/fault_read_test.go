package conformance

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"math"
	"slices"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

// reading replaces the reads of pages.
func (b *broken) reading(change func(ctx context.Context, r store.ReadRequest, read pageRead) ([]store.Recorded, error)) {
	changed := func(read pageRead) pageRead {
		return func(ctx context.Context, r store.ReadRequest) ([]store.Recorded, error) { return change(ctx, r, read) }
	}
	b.readStream, b.readAll = inStream(changed, b), inAll(changed, b)
}

type pageRead func(ctx context.Context, r store.ReadRequest) ([]store.Recorded, error)

var readFaults = []fault{
	{name: "from-exclusive", what: "reading starts behind the number asked for", storage: func(b *broken) {
		b.reading(func(ctx context.Context, r store.ReadRequest, read pageRead) ([]store.Recorded, error) {
			if !r.Backward && r.From > 1 && r.From < math.MaxInt64 {
				r.From++
			}
			return read(ctx, r)
		})
	}},
	{name: "from-clamped", what: "reading from beyond the end gives the last event", storage: func(b *broken) {
		b.reading(func(ctx context.Context, r store.ReadRequest, read pageRead) ([]store.Recorded, error) {
			page, err := read(ctx, r)
			if err == nil && len(page) == 0 && !r.Backward && r.Limit > 20 {
				r.From, r.Limit, r.Backward = math.MaxInt64, 1, true
				return read(ctx, r)
			}
			return page, err
		})
	}},
	{name: "one-is-the-last", what: "a page of one is the last event", storage: func(b *broken) {
		b.reading(func(ctx context.Context, r store.ReadRequest, read pageRead) ([]store.Recorded, error) {
			page, err := read(ctx, r)
			if r.Limit == 1 && !r.Backward && len(page) == 1 {
				r.From, r.Backward = math.MaxInt64, true
				return read(ctx, r)
			}
			return page, err
		})
	}},
	{name: "page-border-repeated", what: "a page starts with the last event of the page before", storage: func(b *broken) {
		b.reading(func(ctx context.Context, r store.ReadRequest, read pageRead) ([]store.Recorded, error) {
			if !r.Backward && r.From == 3 && r.Limit > 1 {
				r.From--
			}
			return read(ctx, r)
		})
	}},
	{name: "backward-from-end", what: "reading backward starts at the end, whatever was asked for", storage: func(b *broken) {
		b.reading(func(ctx context.Context, r store.ReadRequest, read pageRead) ([]store.Recorded, error) {
			if r.Backward && r.Limit > 20 {
				r.From = math.MaxInt64
			}
			return read(ctx, r)
		})
	}},
	{name: "backward-ignored", what: "a page that is read backward is in forward order", storage: func(b *broken) {
		b.reading(func(ctx context.Context, r store.ReadRequest, read pageRead) ([]store.Recorded, error) {
			page, err := read(ctx, r)
			if r.Backward && len(page) > 3 {
				slices.Reverse(page)
			}
			return page, err
		})
	}},
	{name: "backward-starts-over", what: "a backward read from below the first event begins at the last", store: func(c *careless) {
		over := func(o *store.ReadOptions) *store.ReadOptions {
			if o != nil && o.Before == 1 {
				return &store.ReadOptions{Backward: true, PageSize: o.PageSize}
			}
			return o
		}
		c.page = func(ctx context.Context, stream string, o *store.ReadOptions) ([]store.Recorded, error) {
			return c.face.Page(ctx, stream, over(o))
		}
		c.stream = func(ctx context.Context, stream string, o *store.ReadOptions) iter.Seq2[store.Recorded, error] {
			return c.face.Stream(ctx, stream, over(o))
		}
	}},
	{name: "page-too-large", what: "a page has an event more than was asked for", store: func(c *careless) {
		c.page = func(ctx context.Context, stream string, o *store.ReadOptions) ([]store.Recorded, error) {
			if o != nil && o.PageSize > 0 && o.PageSize < 10 {
				o = &store.ReadOptions{From: o.From, After: o.After, Backward: o.Backward, Before: o.Before, PageSize: o.PageSize + 1}
			}
			return c.face.Page(ctx, stream, o)
		}
	}},
	{name: "page-too-short", what: "a page of three is an event short", storage: func(b *broken) {
		b.reading(func(ctx context.Context, r store.ReadRequest, read pageRead) ([]store.Recorded, error) {
			if r.Limit == 3 {
				r.Limit--
			}
			return read(ctx, r)
		})
	}},
	{name: "page-by-range", what: "a page is a range of numbers, and short where some are unused", storage: func(b *broken) {
		b.reading(func(ctx context.Context, r store.ReadRequest, read pageRead) ([]store.Recorded, error) {
			page, err := read(ctx, r)
			return slices.DeleteFunc(page, func(e store.Recorded) bool {
				return !r.Backward && e.Number-r.From >= int64(r.Limit)
			}), err
		})
	}},
	{name: "data-recycled", what: "the data of a large page are read into the memory of those before", storage: func(b *broken) {
		b.changed(func(e *store.Recorded) { e.Data = bytes.Clone(e.Data) })
		b.recycle = func(page []store.Recorded) {
			for i := range page {
				if len(page) >= 200 {
					clear(page[i].Data)
				}
			}
		}
	}},
	{name: "absent-is-empty", what: "an absent stream reads as an empty one", storage: func(b *broken) {
		b.readStream = func(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
			page, err := b.Storage.ReadStream(ctx, r)
			if errors.Is(err, store.ErrStreamNotFound) {
				return store.StreamPart{}, nil
			}
			return page, err
		}
	}},
	{name: "deleted-is-empty", what: "a soft-deleted stream reads as an empty one", storage: func(b *broken) {
		b.readStream = func(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
			page, err := b.Storage.ReadStream(ctx, r)
			if errors.Is(err, store.ErrStreamDeleted) {
				return store.StreamPart{}, nil
			}
			return page, err
		}
	}},
	{name: "emptied-is-absent", what: "a stream that has no events left reads as absent", storage: func(b *broken) {
		b.readStream = func(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
			page, err := b.Storage.ReadStream(ctx, r)
			all, _ := b.Storage.ReadStream(ctx, store.ReadRequest{Stream: r.Stream, From: 1, Limit: 1})
			if err == nil && len(all.Events) == 0 {
				return store.StreamPart{}, &store.StreamError{Stream: r.Stream, Err: store.ErrStreamNotFound}
			}
			return page, err
		}
	}},
	{name: "context-ignored", what: "the storage does not look at its context", storage: func(b *broken) {
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			return b.Storage.Append(context.WithoutCancel(ctx), r)
		}
		b.link = func(ctx context.Context, r store.LinkRequest) (store.AppendResult, error) {
			return b.Storage.Link(context.WithoutCancel(ctx), r)
		}
		b.delete = func(ctx context.Context, r store.DeleteRequest) error {
			return b.Storage.Delete(context.WithoutCancel(ctx), r)
		}
		b.reading(func(ctx context.Context, r store.ReadRequest, read pageRead) ([]store.Recorded, error) {
			return read(context.WithoutCancel(ctx), r)
		})
		b.readEvent = func(ctx context.Context, id uuid.UUID) (store.Recorded, error) {
			return b.Storage.ReadEvent(context.WithoutCancel(ctx), id)
		}
		b.head = func(ctx context.Context) (int64, error) { return b.Storage.Head(context.WithoutCancel(ctx)) }
		b.info = func(ctx context.Context, stream string) (store.StreamInfo, error) {
			return b.Storage.StreamInfo(context.WithoutCancel(ctx), stream)
		}
		b.list = func(ctx context.Context, r store.ListRequest) ([]store.StreamInfo, error) {
			return b.Storage.ListStreams(context.WithoutCancel(ctx), r)
		}
		b.count = func(ctx context.Context, f store.StreamFilter) (int64, error) {
			return b.Storage.CountStreams(context.WithoutCancel(ctx), f)
		}
	}},
}
