package conformance

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

// stored makes every append change its events.
func stored(change func(n *store.NewEvent)) func(b *broken) {
	return func(b *broken) {
		b.requested(func(r *store.AppendRequest) {
			for i := range r.Events {
				change(&r.Events[i])
			}
		})
	}
}

// found makes every read change its events.
func found(change func(e *store.Recorded)) func(b *broken) {
	return func(b *broken) { b.changed(change) }
}

var eventFaults = []fault{
	{name: "data-cut", what: "data are cut to 100,000 bytes", storage: stored(func(n *store.NewEvent) { n.Data = n.Data[:min(len(n.Data), 100_000)] })},
	{name: "data-escaped", what: "backslashes in data are doubled", storage: stored(func(n *store.NewEvent) {
		n.Data = bytes.ReplaceAll(n.Data, []byte(`\`), []byte(`\\`))
	})},
	{name: "data-numbers", what: "zeros in data are dropped", storage: stored(func(n *store.NewEvent) {
		n.Data = bytes.ReplaceAll(n.Data, []byte("0.125"), []byte("0.1"))
		n.Data = bytes.ReplaceAll(n.Data, []byte("12345678901234"), []byte("12345678901230"))
	})},
	{name: "data-letters", what: "letters of data are folded", storage: stored(func(n *store.NewEvent) { n.Data = bytes.ToUpper(n.Data) })},
	{name: "data-only-objects", what: "data other than objects with content are replaced", storage: stored(func(n *store.NewEvent) {
		if text := string(n.Data); text == "{}" || text == "[]" || text == `""` || strings.HasPrefix(text, "[1") || strings.HasPrefix(text, `"<`) || strings.HasPrefix(text, `"\u003c`) {
			n.Data = []byte("0")
		}
	})},
	{name: "bytes-are-text", what: "bytes that are no UTF-8 are replaced", storage: stored(func(n *store.NewEvent) { n.Data = bytes.ToValidUTF8(n.Data, []byte("?")) })},
	{name: "metadata-null", what: "absent metadata come back as null", storage: stored(func(n *store.NewEvent) {
		if n.Metadata == nil {
			n.Metadata = []byte("null")
		}
	})},
	{name: "metadata-cut", what: "metadata are cut to 100,000 bytes", storage: stored(func(n *store.NewEvent) {
		n.Metadata = n.Metadata[:min(len(n.Metadata), 100_000)]
	})},
	{name: "correlation-lost", what: "correlations are not kept", storage: stored(func(n *store.NewEvent) { n.CorrelationID = uuid.Nil })},
	{name: "correlation-out-of-order", what: "the events of a correlation come by stream", storage: func(b *broken) {
		b.readCorrelation = func(ctx context.Context, r store.CorrelationRequest) (store.CorrelationPart, error) {
			page, err := b.Storage.(store.CorrelationStorage).ReadCorrelation(ctx, r)
			slices.SortStableFunc(page.Events, func(a, b store.Recorded) int { return strings.Compare(a.Stream, b.Stream) })
			return page, err
		}
	}},
	{name: "content-type-lost", what: "content types are not kept", storage: stored(func(n *store.NewEvent) { n.ContentType = "" })},
	{name: "content-type-of-data", what: "metadata have no content type of their own", storage: stored(func(n *store.NewEvent) {
		n.ContentType, _, _ = strings.Cut(n.ContentType, ",")
	})},
	{name: "content-type-cut", what: "content types have no versions", storage: stored(func(n *store.NewEvent) {
		n.ContentType, _, _ = strings.Cut(n.ContentType, ";")
	})},
	{name: "cause-swapped", what: "causation and correlation are exchanged", storage: stored(func(n *store.NewEvent) {
		n.CausationID, n.CorrelationID = n.CorrelationID, n.CausationID
	})},
	{name: "type-cut", what: "types are cut to 63 bytes", storage: stored(func(n *store.NewEvent) { n.Type = n.Type[:min(len(n.Type), 63)] })},
	{name: "seconds-only", what: "times are kept to the second", storage: stored(func(n *store.NewEvent) { n.CreatedAt = n.CreatedAt.Truncate(time.Second) })},
	{name: "time-ignored", what: "times given are not kept", storage: stored(func(n *store.NewEvent) { n.CreatedAt = time.Time{} })},
	{name: "local-time", what: "times come back in another zone", storage: found(func(e *store.Recorded) { e.CreatedAt = e.CreatedAt.In(time.FixedZone("east", 3600)) })},
	{name: "nanoseconds", what: "times without a given one have nanoseconds", storage: found(func(e *store.Recorded) {
		if time.Since(e.CreatedAt) < time.Hour {
			e.CreatedAt = e.CreatedAt.Add(7)
		}
	})},
	{name: "no-clock", what: "without a time of its own an event has none", storage: found(func(e *store.Recorded) {
		if time.Since(e.CreatedAt) < time.Hour {
			e.CreatedAt = time.Time{}
		}
	})},
	{name: "slices-kept", what: "the caller's slices are kept", storage: func(b *broken) {
		var mu sync.Mutex
		kept := map[uuid.UUID][]byte{}
		b.changed(func(e *store.Recorded) {
			mu.Lock()
			defer mu.Unlock()
			e.Data = kept[e.ID]
		})
		b.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			res, err := b.Storage.Append(ctx, r)
			mu.Lock()
			defer mu.Unlock()
			for _, n := range r.Events {
				if _, known := kept[n.ID]; err == nil && !known {
					kept[n.ID] = n.Data
				}
			}
			return res, err
		}
	}},
	{name: "names-folded", what: "names are trimmed and in lower case", storage: func(b *broken) {
		b.requested(func(r *store.AppendRequest) { r.Stream = strings.ToLower(strings.TrimSpace(r.Stream)) })
	}},
	{name: "names-cut", what: "names are cut to 255 bytes", storage: func(b *broken) {
		b.requested(func(r *store.AppendRequest) { r.Stream = r.Stream[:min(len(r.Stream), 255)] })
	}},
	{name: "event-has-position", what: "an event read by its id has its position as number", storage: func(b *broken) {
		b.readEvent = func(ctx context.Context, id uuid.UUID) (store.Recorded, error) {
			e, err := b.Storage.ReadEvent(ctx, id)
			e.Number += 2
			return e, err
		}
	}},
	{name: "event-unknown", what: "an event that is not there is a zero event", storage: func(b *broken) {
		b.readEvent = func(ctx context.Context, id uuid.UUID) (store.Recorded, error) {
			e, err := b.Storage.ReadEvent(ctx, id)
			if ctx.Err() == nil {
				err = nil
			}
			return e, err
		}
	}},
	{name: "event-hidden", what: "events of soft-deleted streams can't be read by id", storage: func(b *broken) {
		b.readEvent = func(ctx context.Context, id uuid.UUID) (store.Recorded, error) {
			e, err := b.Storage.ReadEvent(ctx, id)
			if info, _ := b.Storage.StreamInfo(ctx, e.Stream); err == nil && info.Status() == store.Deleted {
				return store.Recorded{}, &store.EventNotFoundError{ID: id}
			}
			return e, err
		}
	}},
}
