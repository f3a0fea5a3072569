package conformance

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/eventstore-go/eventstore/store"
)

// filtering replaces filtered reads.
func filtering(change func(ctx context.Context, r store.ReadRequest, f store.EventFilter, read filteredRead) ([]store.Recorded, int64, error)) func(b *broken) {
	return func(b *broken) {
		b.filtered = func(ctx context.Context, r store.ReadRequest, f store.EventFilter) ([]store.Recorded, int64, error) {
			return change(ctx, r, f, b.SubscriptionStorage.ReadFiltered)
		}
	}
}

// choosing makes filtered reads judge events by judge.
func choosing(judge func(f store.EventFilter, r store.ReadRequest, e *store.Recorded) bool) func(b *broken) {
	return filtering(func(ctx context.Context, r store.ReadRequest, f store.EventFilter, read filteredRead) ([]store.Recorded, int64, error) {
		page, next, err := read(ctx, r, store.EventFilter{})
		return slices.DeleteFunc(page, func(e store.Recorded) bool { return !judge(f, r, &e) }), next, err
	})
}

func typeWanted(f store.EventFilter, e *store.Recorded) bool {
	return len(f.Types) == 0 || slices.Contains(f.Types, e.Type)
}

// like is what the LIKE of SQL would take a prefix for.
func like(name, prefix string) bool {
	n, p := []rune(name), []rune(prefix)
	for i, c := range p {
		if c == '%' {
			return true
		}
		if i >= len(n) || c != '_' && n[i] != c {
			return false
		}
	}
	return true
}

var filterFaults = []fault{
	{name: "ends-left-out", what: "a page has no event that was not chosen", storage: choosing(func(f store.EventFilter, _ store.ReadRequest, e *store.Recorded) bool {
		return f.Matches(e)
	})},
	{name: "unchosen", what: "a filter chooses everything", storage: choosing(func(store.EventFilter, store.ReadRequest, *store.Recorded) bool { return true })},
	{name: "types-folded", what: "types that differ in case are one", storage: choosing(func(f store.EventFilter, _ store.ReadRequest, e *store.Recorded) bool {
		wanted := len(f.Types) == 0 || slices.ContainsFunc(f.Types, func(t string) bool { return strings.EqualFold(t, e.Type) })
		return wanted && strings.HasPrefix(e.Stream, f.StreamPrefix)
	})},
	{name: "hundred-types", what: "of the types wanted, a hundred count", storage: filtering(func(ctx context.Context, r store.ReadRequest, f store.EventFilter, read filteredRead) ([]store.Recorded, int64, error) {
		f.Types = f.Types[:min(len(f.Types), 100)]
		return read(ctx, r, f)
	})},
	{name: "prefix-like", what: "% and _ in a prefix stand for others", storage: choosing(func(f store.EventFilter, _ store.ReadRequest, e *store.Recorded) bool {
		return typeWanted(f, e) && like(e.Stream, f.StreamPrefix)
	})},
	{name: "prefix-of-ascii", what: "a prefix ends before its last character if that is none of ASCII's", storage: filtering(func(ctx context.Context, r store.ReadRequest, f store.EventFilter, read filteredRead) ([]store.Recorded, int64, error) {
		if n := len(f.StreamPrefix); n > 0 && f.StreamPrefix[n-1] >= 0x80 {
			f.StreamPrefix = f.StreamPrefix[:n-1]
		}
		return read(ctx, r, f)
	})},
	{name: "type-or-prefix", what: "an event is chosen for its type or for its stream", storage: choosing(func(f store.EventFilter, _ store.ReadRequest, e *store.Recorded) bool {
		if len(f.Types) == 0 || f.StreamPrefix == "" {
			return typeWanted(f, e) && strings.HasPrefix(e.Stream, f.StreamPrefix)
		}
		return typeWanted(f, e) || strings.HasPrefix(e.Stream, f.StreamPrefix)
	})},
	{name: "empty-page-is-the-end", what: "a page without events is taken for the end", storage: filtering(func(ctx context.Context, r store.ReadRequest, f store.EventFilter, read filteredRead) ([]store.Recorded, int64, error) {
		page, next, err := read(ctx, r, f)
		if len(page) == 0 {
			next = r.From
		}
		return page, next, err
	})},
	{name: "empty-filter-chooses-nothing", what: "a filter that wants no types gets no events", storage: choosing(func(f store.EventFilter, _ store.ReadRequest, e *store.Recorded) bool {
		return slices.Contains(f.Types, e.Type) && strings.HasPrefix(e.Stream, f.StreamPrefix) || f.Types == nil && f.StreamPrefix != "" && strings.HasPrefix(e.Stream, f.StreamPrefix)
	})},
	{name: "next-too-far", what: "a full page says that everything was looked at", storage: filtering(func(ctx context.Context, r store.ReadRequest, f store.EventFilter, read filteredRead) ([]store.Recorded, int64, error) {
		page, next, err := read(ctx, r, f)
		if len(page) == r.Limit {
			_, next, err = read(ctx, store.ReadRequest{Stream: r.Stream, From: r.From, Limit: 100_000}, f)
		}
		return page, next, err
	})},
	{name: "next-is-last", what: "the next page begins with the last event of this one", storage: filtering(func(ctx context.Context, r store.ReadRequest, f store.EventFilter, read filteredRead) ([]store.Recorded, int64, error) {
		page, next, err := read(ctx, r, f)
		if n := len(page); n > 1 {
			next = page[n-1].Number
		}
		return page, next, err
	})},
	{name: "window-is-the-end", what: "a page that has found nothing says that everything was looked at", storage: filtering(func(ctx context.Context, r store.ReadRequest, f store.EventFilter, read filteredRead) ([]store.Recorded, int64, error) {
		page, next, err := read(ctx, r, f)
		found := slices.ContainsFunc(page, func(e store.Recorded) bool { return f.Matches(&e) })
		if !found && err == nil && next > r.From {
			_, next, err = read(ctx, store.ReadRequest{Stream: r.Stream, From: r.From, Limit: 100_000}, f)
		}
		return page, next, err
	})},
	{name: "unused-is-the-end", what: "filtered reads end at a number that was hard deleted", storage: func(b *broken) {
		b.filtered = func(ctx context.Context, r store.ReadRequest, f store.EventFilter) ([]store.Recorded, int64, error) {
			page, next, err := b.SubscriptionStorage.ReadFiltered(ctx, r, f)
			read := b.Storage.ReadAll
			if r.Stream != store.All {
				read = func(ctx context.Context, r store.ReadRequest) ([]store.Recorded, error) {
					page, err := b.Storage.ReadStream(ctx, r)
					return page.Events, err
				}
			}
			whole, readErr := read(ctx, store.ReadRequest{Stream: r.Stream, From: r.From, Limit: max(1, int(next-r.From))})
			if err != nil || readErr != nil {
				return page, next, err
			}
			end := r.From
			for _, e := range whole {
				if e.Number != end {
					break
				}
				end++
			}
			if len(page) > 0 && page[0].Number >= end || next > end {
				page = slices.DeleteFunc(page, func(e store.Recorded) bool { return e.Number >= end })
				next = end
			}
			return page, next, nil
		}
	}},
	{name: "links-not-filtered", what: "links are left out of filtered reads", storage: choosing(func(f store.EventFilter, r store.ReadRequest, e *store.Recorded) bool {
		return typeWanted(f, e) && strings.HasPrefix(e.Stream, f.StreamPrefix) && (r.Stream == store.All || r.Stream == e.Stream)
	})},
	{name: "links-by-target", what: "a link is judged by the name of the stream that it is in", storage: choosing(func(f store.EventFilter, r store.ReadRequest, e *store.Recorded) bool {
		name := r.Stream
		if name == store.All {
			name = e.Stream
		}
		return typeWanted(f, e) && strings.HasPrefix(name, f.StreamPrefix)
	})},
	{name: "missing-is-empty", what: "a filtered read of a stream that is not there is an empty page", storage: filtering(func(ctx context.Context, r store.ReadRequest, f store.EventFilter, read filteredRead) ([]store.Recorded, int64, error) {
		page, next, err := read(ctx, r, f)
		if errors.Is(err, store.ErrStreamNotFound) || errors.Is(err, store.ErrStreamDeleted) {
			return nil, r.From, nil
		}
		return page, next, err
	})},
	{name: "beyond-the-end", what: "a filtered read at the end says that it has looked at what is not there yet", storage: filtering(func(ctx context.Context, r store.ReadRequest, f store.EventFilter, read filteredRead) ([]store.Recorded, int64, error) {
		page, next, err := read(ctx, r, f)
		if err == nil && next == r.From && next > 1 && next < 1000 {
			if _, end, _ := read(ctx, store.ReadRequest{Stream: r.Stream, From: 1, Limit: 1}, store.EventFilter{}); end == 2 {
				next = min(next+1, 14)
			}
		}
		return page, next, err
	})},
	{name: "filter-context-not-looked-at", what: "filtered reads go on whatever their context says", storage: filtering(func(ctx context.Context, r store.ReadRequest, f store.EventFilter, read filteredRead) ([]store.Recorded, int64, error) {
		return read(context.WithoutCancel(ctx), r, f)
	})},
	{name: "versions-of-active-streams", what: "a look at many streams leaves out those that are soft deleted", storage: func(b *broken) {
		b.versions = func(ctx context.Context, streams []string) (map[string]store.StreamInfo, error) {
			found, err := b.SubscriptionStorage.StreamVersions(ctx, streams)
			for name, info := range found {
				if info.Status() == store.Deleted {
					delete(found, name)
				}
			}
			return found, err
		}
	}},
}
