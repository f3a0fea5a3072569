package conformance

import (
	"context"
	"slices"

	"github.com/eventstore-go/eventstore/store"
)

// asked changes what pages are asked for: those of reads that are wanted.
func asked(wanted func(r store.ReadRequest) bool, change func(r *store.ReadRequest)) func(b *broken) {
	changed := func(r store.ReadRequest) store.ReadRequest {
		if wanted(r) {
			change(&r)
		}
		return r
	}
	return func(b *broken) {
		b.readStream = func(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
			return b.Storage.ReadStream(ctx, changed(r))
		}
		b.readAll = func(ctx context.Context, r store.ReadRequest) (store.Part, error) {
			if r.Stream == "" {
				r.Stream = store.All
			}
			return b.Storage.ReadAll(ctx, changed(r))
		}
	}
}

func unbound(r *store.ReadRequest) { r.Bytes = 0 }

// ended makes pages of all events, and of streams, end otherwise.
func ended(change func(r store.ReadRequest, part store.Part) store.Part) func(b *broken) {
	return func(b *broken) {
		b.readAll = func(ctx context.Context, r store.ReadRequest) (store.Part, error) {
			part, err := b.Storage.ReadAll(ctx, r)
			return change(r, part), err
		}
		b.readStream = func(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
			page, err := b.Storage.ReadStream(ctx, r)
			page.Part = change(r, page.Part)
			return page, err
		}
	}
}

// withoutMetadata is how many bytes the data of events have.
func withoutMetadata(list []store.Recorded) (n int) {
	for i := range list {
		n += len(list[i].Data)
	}
	return n
}

var bytesFaults = []fault{
	{name: "bytes-ignored-in-streams", what: "pages of streams have any number of bytes", storage: asked(
		func(r store.ReadRequest) bool { return r.Stream != store.All }, unbound)},
	{name: "bytes-ignored-in-all", what: "pages of all events have any number of bytes", storage: asked(
		func(r store.ReadRequest) bool { return r.Stream == store.All }, unbound)},
	{name: "bytes-ignored-backward", what: "pages read backward have any number of bytes", storage: asked(
		func(r store.ReadRequest) bool { return r.Backward }, unbound)},
	{name: "bytes-ignored-filtered", what: "filtered pages have any number of bytes", storage: filtering(
		func(ctx context.Context, r store.ReadRequest, f store.EventFilter, read filteredRead) ([]store.Recorded, int64, error) {
			r.Bytes = 0
			return read(ctx, r, f)
		})},
	{name: "bytes-ignored-in-correlations", what: "pages of correlations have any number of bytes", storage: func(b *broken) {
		b.readCorrelation = func(ctx context.Context, r store.CorrelationRequest) (store.CorrelationPart, error) {
			r.Bytes = 0
			return b.Storage.(store.CorrelationStorage).ReadCorrelation(ctx, r)
		}
	}},
	{name: "bytes-of-links-ignored", what: "linked events do not count", storage: func(b *broken) {
		b.readStream = func(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
			page, err := b.Storage.ReadStream(ctx, r)
			if slices.ContainsFunc(page.Events, func(e store.Recorded) bool { return e.Stream != r.Stream }) {
				r.Bytes = 0
				page, err = b.Storage.ReadStream(ctx, r)
			}
			return page, err
		}
	}},
	{name: "metadata-do-not-count", what: "of an event its data count, and not its metadata", storage: func(b *broken) {
		b.readAll = func(ctx context.Context, r store.ReadRequest) (store.Part, error) {
			bytes := r.Bytes
			r.Bytes = 0
			part, err := b.Storage.ReadAll(ctx, r)
			for bytes > 0 && len(part.Events) > 1 && withoutMetadata(part.Events) > bytes {
				part.Events, part.More = part.Events[:len(part.Events)-1], true
			}
			return part, err
		}
	}},
	{name: "cut-is-the-end", what: "a page that its bytes have ended is said to be the last", storage: ended(func(_ store.ReadRequest, part store.Part) store.Part {
		part.More = false
		return part
	})},
	{name: "cut-too-late", what: "a page ends with the event that does not fit", storage: func(b *broken) {
		b.readAll = func(ctx context.Context, r store.ReadRequest) (store.Part, error) {
			part, err := b.Storage.ReadAll(ctx, r)
			if n := len(part.Events); err == nil && part.More {
				r.Limit, r.Bytes = n+1, 0
				part, err = b.Storage.ReadAll(ctx, r)
				part.More = true
			}
			return part, err
		}
	}},
	{name: "cut-too-early", what: "a page has half of what fits", storage: ended(func(_ store.ReadRequest, part store.Part) store.Part {
		if n := len(part.Events); part.More && n > 1 {
			part.Events = part.Events[:n/2]
		}
		return part
	})},
	{name: "large-left-out", what: "an event that is larger than a page is passed over", storage: ended(func(r store.ReadRequest, part store.Part) store.Part {
		part.Events = slices.DeleteFunc(part.Events, func(e store.Recorded) bool { return r.Bytes > 0 && e.Size() > r.Bytes && !r.Overlaps(e.Number) })
		return part
	})},
	{name: "overlap-counts", what: "an event that the reader has already takes the place of the next", storage: func(b *broken) {
		asked(func(r store.ReadRequest) bool { return r.Overlap }, func(r *store.ReadRequest) { r.Overlap = false })(b)
		filtering(func(ctx context.Context, r store.ReadRequest, f store.EventFilter, read filteredRead) ([]store.Recorded, int64, error) {
			r.Overlap = false
			return read(ctx, r, f)
		})(b)
	}},
	{name: "filtered-cut-passes", what: "a filtered page that its bytes have ended passes what did not fit", storage: filtering(
		func(ctx context.Context, r store.ReadRequest, f store.EventFilter, read filteredRead) ([]store.Recorded, int64, error) {
			page, next, err := read(ctx, r, f)
			if r.Bytes > 0 && err == nil && len(page) < r.Limit {
				r.Bytes = 0
				_, next, err = read(ctx, r, f)
			}
			return page, next, err
		})},
	{name: "cut-at-a-gap", what: "a page that its bytes have ended is followed by what follows its last number by one", storage: ended(func(_ store.ReadRequest, part store.Part) store.Part {
		for i := 1; part.More && i < len(part.Events); i++ {
			if d := part.Events[i].Number - part.Events[i-1].Number; d != 1 && d != -1 {
				part.Events, part.More = part.Events[:i], false
			}
		}
		return part
	})},
	{name: "cut-page-covers-all", what: "a page that its bytes have ended covers its stream to the end", storage: func(b *broken) {
		b.readStream = func(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
			page, err := b.Storage.ReadStream(ctx, r)
			if info, e := b.Storage.StreamInfo(ctx, r.Stream); e == nil && page.More {
				page.Version = info.Version
			}
			return page, err
		}
	}},
	{name: "nothing-behind-a-cut", what: "a stream ends where its bytes have ended a page", storage: func(b *broken) {
		b.readStream = func(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
			page, err := b.Storage.ReadStream(ctx, r)
			if r.Bytes > 0 && r.Bytes < store.DefaultPageBytes && r.From > 1 && !r.Backward && err == nil {
				return r.Page(page.StreamID, page.Version, store.Part{}), nil
			}
			return page, err
		}
	}},
}
