package conformance

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/eventstore-go/eventstore/store"
)

// whole returns all streams that a filter lets through, in the order of a request.
func whole(ctx context.Context, b *broken, r store.ListRequest) []store.StreamInfo {
	r.After, r.Offset, r.Limit = nil, 0, math.MaxInt32
	list, _ := b.Storage.ListStreams(ctx, r)
	return list
}

// cutList returns the page of a list that a request asks for.
func cutList(list []store.StreamInfo, r store.ListRequest) []store.StreamInfo {
	if r.After != nil {
		list = list[1+slices.IndexFunc(list, func(s store.StreamInfo) bool { return s.ID == r.After.ID }):]
	}
	list = list[min(r.Offset, len(list)):]
	return list[:min(r.Limit, len(list))]
}

// listing replaces the order of lists.
func listing(sort func(r store.ListRequest, list []store.StreamInfo)) func(b *broken) {
	return func(b *broken) {
		b.list = func(ctx context.Context, r store.ListRequest) ([]store.StreamInfo, error) {
			list := whole(ctx, b, r)
			sort(r, list)
			return cutList(list, r), ctx.Err()
		}
	}
}

// searching replaces what a search finds.
func searching(matches func(name, search string) bool) func(b *broken) {
	return func(b *broken) {
		filter := func(ctx context.Context, r store.ListRequest) []store.StreamInfo {
			search := r.Search
			r.Search = ""
			return slices.DeleteFunc(whole(ctx, b, r), func(s store.StreamInfo) bool { return search != "" && !matches(s.Stream, search) })
		}
		b.list = func(ctx context.Context, r store.ListRequest) ([]store.StreamInfo, error) {
			return cutList(filter(ctx, r), r), ctx.Err()
		}
		b.count = func(ctx context.Context, f store.StreamFilter) (int64, error) {
			return int64(len(filter(ctx, store.ListRequest{StreamFilter: f, SortBy: store.SortID}))), ctx.Err()
		}
	}
}

var streamsFaults = []fault{
	{name: "search-wildcard", what: "a search takes _, %, ? and * as wildcards", storage: searching(func(name, search string) bool {
		return strings.ContainsAny(search, `_%?*`) || strings.Contains(name, search)
	})},
	{name: "search-folds-case", what: "a search does not tell capitals from small letters", storage: searching(func(name, search string) bool {
		return strings.Contains(strings.ToLower(name), strings.ToLower(search))
	})},
	{name: "search-prefix", what: "a search looks at the start of names", storage: searching(strings.HasPrefix)},
	{name: "search-escapes", what: "a search drops quotes, backslashes and dashes", storage: searching(func(name, search string) bool {
		return strings.Contains(name, strings.NewReplacer(`\`, "", "'", "", "-", "", "本", "", "absent", "").Replace(search))
	})},
	{name: "filter-not-counted", what: "the total does not regard the filter", storage: func(b *broken) {
		b.count = func(ctx context.Context, _ store.StreamFilter) (int64, error) {
			return b.Storage.CountStreams(ctx, store.StreamFilter{})
		}
	}},
	{name: "status-ignored", what: "lists do not regard the status", storage: func(b *broken) {
		b.list = func(ctx context.Context, r store.ListRequest) ([]store.StreamInfo, error) {
			r.Status = ""
			return b.Storage.ListStreams(ctx, r)
		}
	}},
	{name: "deleted-not-listed", what: "soft-deleted streams are not listed", storage: func(b *broken) {
		b.list = func(ctx context.Context, r store.ListRequest) ([]store.StreamInfo, error) {
			list := slices.DeleteFunc(whole(ctx, b, r), func(s store.StreamInfo) bool { return s.Status() == store.Deleted })
			return cutList(list, r), ctx.Err()
		}
	}},
	{name: "no-tie-breaker", what: "equal keys are listed in another order for each page size", storage: listing(
		func(r store.ListRequest, list []store.StreamInfo) {
			slices.SortFunc(list, func(x, y store.StreamInfo) int {
				c := 0
				switch r.SortBy {
				case store.SortVersion:
					c = cmp.Compare(x.Version, y.Version)
				case store.SortCreated:
					c = x.CreatedAt.Compare(y.CreatedAt)
				case store.SortDeleted:
					c = deletion(x).Compare(deletion(y))
				default:
					return 0
				}
				if r.Descending {
					c = -c
				}
				return cmp.Or(c, strings.Compare(x.Stream, y.Stream))
			})
		})},
	{name: "names-by-dictionary", what: "names are sorted as in a dictionary", storage: listing(
		func(r store.ListRequest, list []store.StreamInfo) {
			if r.SortBy == store.SortName {
				slices.SortStableFunc(list, func(x, y store.StreamInfo) int {
					c := strings.Compare(strings.ToLower(x.Stream), strings.ToLower(y.Stream))
					if r.Descending {
						return -c
					}
					return c
				})
			}
		})},
	{name: "direction-ignored", what: "lists by id or name are always ascending", storage: listing(
		func(r store.ListRequest, list []store.StreamInfo) {
			if r.Descending && (r.SortBy == store.SortID || r.SortBy == store.SortName) {
				slices.Reverse(list)
			}
		})},
	{name: "order-turned", what: "lists are in the opposite order", storage: listing(
		func(_ store.ListRequest, list []store.StreamInfo) { slices.Reverse(list) })},
	{name: "cursor-by-offset", what: "a cursor counts streams instead of naming the last", storage: func(b *broken) {
		var mu sync.Mutex
		offsets := map[int64]int{}
		b.list = func(ctx context.Context, r store.ListRequest) ([]store.StreamInfo, error) {
			mu.Lock()
			defer mu.Unlock()
			offset := r.Offset
			if r.After != nil {
				offset = offsets[r.After.ID]
			}
			list := whole(ctx, b, r)
			list = list[min(offset, len(list)):]
			list = list[:min(r.Limit, len(list))]
			for i, s := range list {
				offsets[s.ID] = offset + i + 1
			}
			return list, ctx.Err()
		}
	}},
	{name: "cursor-inclusive", what: "a page repeats the last stream of the page before", storage: func(b *broken) {
		b.list = func(ctx context.Context, r store.ListRequest) ([]store.StreamInfo, error) {
			list, err := b.Storage.ListStreams(ctx, r)
			if r.After != nil && err == nil {
				list = append([]store.StreamInfo{*r.After}, list...)
			}
			return list, err
		}
	}},
	{name: "offset-ignored", what: "every page by number is the first", storage: func(b *broken) {
		b.list = func(ctx context.Context, r store.ListRequest) ([]store.StreamInfo, error) {
			r.Offset = 0
			return b.Storage.ListStreams(ctx, r)
		}
	}},
	{name: "all-is-listed", what: "$all is a stream among others", storage: func(b *broken) {
		b.list = func(ctx context.Context, r store.ListRequest) ([]store.StreamInfo, error) {
			list, err := b.Storage.ListStreams(ctx, r)
			return append(list, store.StreamInfo{Stream: store.All}), err
		}
	}},
	{name: "info-of-nothing", what: "the info of an absent stream is empty", storage: func(b *broken) {
		b.info = func(ctx context.Context, stream string) (store.StreamInfo, error) {
			info, err := b.Storage.StreamInfo(ctx, stream)
			if errors.Is(err, store.ErrStreamNotFound) {
				return store.StreamInfo{}, nil
			}
			return info, err
		}
	}},
	{name: "created-moves", what: "an append moves the time when its stream was created", storage: func(b *broken) {
		b.info = func(ctx context.Context, stream string) (store.StreamInfo, error) {
			info, err := b.Storage.StreamInfo(ctx, stream)
			info.CreatedAt = info.CreatedAt.Add(time.Duration(info.Version) * time.Microsecond)
			return info, err
		}
	}},
	{name: "deletion-untimed", what: "a soft-deleted stream was deleted in the year 1970", storage: func(b *broken) {
		b.info = func(ctx context.Context, stream string) (store.StreamInfo, error) {
			info, err := b.Storage.StreamInfo(ctx, stream)
			if info.Status() == store.Deleted {
				info.DeletedAt = time.Unix(0, 0)
			}
			return info, err
		}
	}},
}
