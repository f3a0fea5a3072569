package conformance

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

// linking replaces links.
func linking(change func(ctx context.Context, b *broken, r store.LinkRequest) (store.AppendResult, error)) func(b *broken) {
	return func(b *broken) {
		b.link = func(ctx context.Context, r store.LinkRequest) (store.AppendResult, error) { return change(ctx, b, r) }
	}
}

var linkFaults = []fault{
	{name: "link-version-ignored", what: "a link does not look at the version it expects", storage: linking(
		func(ctx context.Context, b *broken, r store.LinkRequest) (store.AppendResult, error) {
			if r.Expected != store.StreamExists {
				r.Expected = store.Any
			}
			return b.Storage.Link(ctx, r)
		})},
	{name: "link-creates", what: "a link expecting an existing stream creates one", storage: linking(
		func(ctx context.Context, b *broken, r store.LinkRequest) (store.AppendResult, error) {
			if r.Expected == store.StreamExists {
				r.Expected = store.Any
			}
			return b.Storage.Link(ctx, r)
		})},
	{name: "link-wants-a-stream", what: "a link does not create its stream", storage: linking(
		func(ctx context.Context, b *broken, r store.LinkRequest) (store.AppendResult, error) {
			if !b.exists(ctx, r.Stream) && r.Expected.MayCreate() {
				return store.AppendResult{}, &store.StreamError{Stream: r.Stream, Err: store.ErrStreamNotFound}
			}
			return b.Storage.Link(ctx, r)
		})},
	{name: "link-not-beside-events", what: "a stream that has events of its own takes no links", storage: linking(
		func(ctx context.Context, b *broken, r store.LinkRequest) (store.AppendResult, error) {
			page, _ := b.Storage.ReadStream(ctx, store.ReadRequest{Stream: r.Stream, From: 1, Limit: 1})
			if len(page.Events) > 0 && page.Events[0].Stream == r.Stream && r.Expected.Judge(r.Stream, store.State{Exists: true, Version: atN}) == nil {
				return store.AppendResult{}, errors.New("not a stream of links")
			}
			return b.Storage.Link(ctx, r)
		})},
	{name: "link-to-deleted", what: "a link to a soft-deleted stream says that all is well", storage: linking(
		func(ctx context.Context, b *broken, r store.LinkRequest) (store.AppendResult, error) {
			res, err := b.Storage.Link(ctx, r)
			if errors.Is(err, store.ErrStreamDeleted) {
				return store.AppendResult{Stream: r.Stream, First: 4, Last: 4}, nil
			}
			return res, err
		})},
	{name: "link-partial", what: "unknown ids are left out of a link", storage: linking(
		func(ctx context.Context, b *broken, r store.LinkRequest) (store.AppendResult, error) {
			r.Events = slices.DeleteFunc(slices.Clone(r.Events), func(id uuid.UUID) bool {
				_, err := b.Storage.ReadEvent(ctx, id)
				return errors.Is(err, store.ErrEventNotFound)
			})
			if len(r.Events) == 0 {
				return store.AppendResult{Stream: r.Stream}, nil
			}
			return b.Storage.Link(ctx, r)
		})},
	{name: "link-duplicates", what: "an event that is in the stream already can be linked again", storage: linking(
		func(ctx context.Context, b *broken, r store.LinkRequest) (store.AppendResult, error) {
			res, err := b.Storage.Link(ctx, r)
			if v := b.version(ctx, r.Stream); errors.Is(err, store.ErrDuplicateEvent) {
				return store.AppendResult{Stream: r.Stream, First: v + 1, Last: v + int64(len(r.Events))}, nil
			}
			return res, err
		})},
	{name: "link-sorted", what: "links have the order of their events", storage: linking(
		func(ctx context.Context, b *broken, r store.LinkRequest) (store.AppendResult, error) {
			head, _ := b.Storage.Head(ctx)
			place := map[uuid.UUID]int64{}
			list, _ := b.Storage.ReadAll(ctx, store.ReadRequest{From: 1, Limit: int(head) + 1})
			for _, e := range list.Events {
				place[e.ID] = e.Number
			}
			r.Events = slices.SortedFunc(slices.Values(r.Events), func(a, b uuid.UUID) int { return int(place[a] - place[b]) })
			return b.Storage.Link(ctx, r)
		})},
	{name: "link-of-hidden", what: "events of a soft-deleted stream can't be linked", storage: linking(
		func(ctx context.Context, b *broken, r store.LinkRequest) (store.AppendResult, error) {
			for _, id := range r.Events {
				e, _ := b.Storage.ReadEvent(ctx, id)
				if info, _ := b.Storage.StreamInfo(ctx, e.Stream); info.Status() == store.Deleted {
					return store.AppendResult{}, &store.EventNotFoundError{ID: id}
				}
			}
			return b.Storage.Link(ctx, r)
		})},
	{name: "link-wrong-result", what: "a link gives the number of links as the last version", storage: linking(
		func(ctx context.Context, b *broken, r store.LinkRequest) (store.AppendResult, error) {
			res, err := b.Storage.Link(ctx, r)
			if err == nil {
				res.Last = int64(len(r.Events))
			}
			return res, err
		})},
	{name: "link-cut", what: "of a link the first 1,000 events are written", storage: linking(
		func(ctx context.Context, b *broken, r store.LinkRequest) (store.AppendResult, error) {
			r.Events = r.Events[:min(len(r.Events), 1000)]
			return b.Storage.Link(ctx, r)
		})},
	{name: "link-origin-lost", what: "a linked event seems to be of the stream that it is linked to", storage: func(b *broken) {
		b.readStream = func(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
			page, err := b.Storage.ReadStream(ctx, r)
			for i := range page.Events {
				page.Events[i].Stream, page.Events[i].Version = r.Stream, page.Events[i].Number
			}
			return page, err
		}
	}},
	{name: "link-number-of-origin", what: "a linked event has the version of its origin as number", storage: func(b *broken) {
		b.readStream = func(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
			page, err := b.Storage.ReadStream(ctx, r)
			for i := range page.Events {
				if len(page.Events) < r.Limit {
					page.Events[i].Number = page.Events[i].Version
				}
			}
			return page, err
		}
	}},
}
