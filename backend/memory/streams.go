package memory

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/eventstore-go/eventstore/store"
)

// StreamInfo implements [store.Storage].
func (b *Backend) StreamInfo(ctx context.Context, name string) (store.StreamInfo, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := ctx.Err(); err != nil {
		return store.StreamInfo{}, err
	}
	s, ok := b.streams[name]
	if !ok {
		return store.StreamInfo{}, &store.StreamError{Stream: name, Err: store.ErrStreamNotFound}
	}
	return s.info, nil
}

// ListStreams implements [store.Storage].
func (b *Backend) ListStreams(ctx context.Context, r store.ListRequest) ([]store.StreamInfo, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	list := b.filtered(r.StreamFilter)
	compare := func(x, y store.StreamInfo) int {
		c := cmp.Or(compareBy(r.SortBy, x, y), cmp.Compare(x.ID, y.ID))
		if r.Descending {
			return -c
		}
		return c
	}
	slices.SortFunc(list, compare)
	if r.After != nil {
		list = slices.DeleteFunc(list, func(s store.StreamInfo) bool { return compare(s, *r.After) <= 0 })
	}
	list = list[min(r.Offset, len(list)):]
	return list[:min(r.Limit, len(list))], nil
}

// CountStreams implements [store.Storage].
func (b *Backend) CountStreams(ctx context.Context, f store.StreamFilter) (int64, error) {
	return int64(len(b.filtered(f))), ctx.Err()
}

func (b *Backend) filtered(f store.StreamFilter) []store.StreamInfo {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var list []store.StreamInfo
	for _, s := range b.streams {
		if strings.Contains(s.info.Stream, f.Search) && (f.Status == "" || f.Status == s.info.Status()) {
			list = append(list, s.info)
		}
	}
	return list
}

func compareBy(key store.SortBy, x, y store.StreamInfo) int {
	switch key {
	case store.SortName:
		return cmp.Compare(x.Stream, y.Stream)
	case store.SortVersion:
		return cmp.Compare(x.Version, y.Version)
	case store.SortCreated:
		return x.CreatedAt.Compare(y.CreatedAt)
	case store.SortDeleted:
		// A stream that was never deleted has the zero time, and sorts after all others.
		if x.DeletedAt.IsZero() != y.DeletedAt.IsZero() {
			return -x.DeletedAt.Compare(y.DeletedAt)
		}
		return x.DeletedAt.Compare(y.DeletedAt)
	}
	return 0
}
