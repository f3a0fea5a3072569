package conformance

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/eventstore-go/eventstore/store"
)

// choosy replaces the reads of a Store that have a filter, or say what they have seen of all events. change is given the options, which
// it may change, and the read.
func choosy(change func(stream string, o *store.ReadOptions, read func() ([]store.Recorded, error)) ([]store.Recorded, error)) func(c *careless) {
	applies := func(stream string, o *store.ReadOptions) bool {
		return o != nil && (!o.Filter.IsZero() || stream == store.All && o.Seen != nil)
	}
	return func(c *careless) {
		c.stream = func(ctx context.Context, stream string, o *store.ReadOptions) iter.Seq2[store.Recorded, error] {
			if !applies(stream, o) {
				return c.face.Stream(ctx, stream, o)
			}
			return func(yield func(store.Recorded, error) bool) {
				changed := *o
				list, err := change(stream, &changed, func() (list []store.Recorded, err error) {
					for e, err := range c.face.Stream(ctx, stream, &changed) {
						if err != nil {
							return list, err
						}
						list = append(list, e)
					}
					return list, nil
				})
				for _, e := range list {
					if !yield(e, nil) {
						return
					}
				}
				if err != nil {
					yield(store.Recorded{}, err)
				}
			}
		}
		c.page = func(ctx context.Context, stream string, o *store.ReadOptions) ([]store.Recorded, error) {
			if !applies(stream, o) {
				return c.face.Page(ctx, stream, o)
			}
			changed := *o
			return change(stream, &changed, func() ([]store.Recorded, error) { return c.face.Page(ctx, stream, &changed) })
		}
	}
}

// saying makes a read that has seen something say something else.
func saying(change func(stream string, o *store.ReadOptions, list []store.Recorded)) func(c *careless) {
	return choosy(func(stream string, o *store.ReadOptions, read func() ([]store.Recorded, error)) ([]store.Recorded, error) {
		list, err := read()
		if err == nil && o.Seen != nil {
			change(stream, o, list)
		}
		return list, err
	})
}

// turning replaces filtered pages that are read backward.
func turning(change func(page []store.Recorded, r store.ReadRequest, next int64) ([]store.Recorded, int64)) func(b *broken) {
	return filtering(func(ctx context.Context, r store.ReadRequest, f store.EventFilter, read filteredRead) ([]store.Recorded, int64, error) {
		page, next, err := read(ctx, r, f)
		if err == nil && r.Backward {
			page, next = change(page, r, next)
		}
		return page, next, err
	})
}

// indexing replaces what an index of types finds.
func indexing(change func(r store.TypedRequest, read func(r store.TypedRequest) (store.TypedPart, error)) (store.TypedPart, error)) func(b *broken) {
	return func(b *broken) {
		b.readTyped = func(ctx context.Context, r store.TypedRequest) (store.TypedPart, error) {
			return change(r, func(r store.TypedRequest) (store.TypedPart, error) {
				return b.Storage.(store.TypeIndex).ReadTyped(ctx, r)
			})
		}
	}
}

var chooseFaults = []fault{
	{name: "choice-ignored", what: "a read returns what its filter leaves out", store: choosy(
		func(_ string, o *store.ReadOptions, read func() ([]store.Recorded, error)) ([]store.Recorded, error) {
			o.Filter = store.EventFilter{}
			return read()
		})},
	{name: "choice-behind-limit", what: "the events that a filter leaves out count for the limit and the size of a page", store: choosy(
		func(_ string, o *store.ReadOptions, read func() ([]store.Recorded, error)) ([]store.Recorded, error) {
			f := o.Filter
			o.Filter = store.EventFilter{}
			list, err := read()
			return slices.DeleteFunc(list, func(e store.Recorded) bool { return !f.Matches(&e) }), err
		})},
	{name: "choice-seen-is-last", what: "a read with a filter has seen no more than the last event that it returned", store: saying(
		func(_ string, o *store.ReadOptions, list []store.Recorded) {
			if n := len(list); n > 0 && !o.Backward {
				o.Seen.Version = list[n-1].Number
			}
		})},
	{name: "choice-seen-too-far", what: "a read with a filter has seen the next number, too", store: saying(
		func(_ string, o *store.ReadOptions, _ []store.Recorded) { o.Seen.Version++ })},
	{name: "choice-seen-is-asked", what: "a read with a filter from behind the end has seen all before that", store: saying(
		func(_ string, o *store.ReadOptions, _ []store.Recorded) {
			o.Seen.Version = max(o.Seen.Version, o.From-1)
		})},
	{name: "choice-seen-without-stream", what: "a read with a filter does not say which stream it has seen", store: saying(
		func(_ string, o *store.ReadOptions, _ []store.Recorded) { o.Seen.StreamID = 0 })},
	{name: "choice-seen-in-spite", what: "a read with a filter that has failed, or was left early, says what it has seen so far", store: func(c *careless) {
		c.stream = func(ctx context.Context, stream string, o *store.ReadOptions) iter.Seq2[store.Recorded, error] {
			return func(yield func(store.Recorded, error) bool) {
				last := int64(0)
				for e, err := range c.face.Stream(ctx, stream, o) {
					last = max(last, e.Number)
					if !yield(e, err) || err != nil {
						if o != nil && o.Seen != nil && !o.Filter.IsZero() {
							o.Seen.Version = last
						}
						return
					}
				}
			}
		}
	}},
	{name: "choice-has-no-end", what: "a read with a filter goes on while there is more", store: func(c *careless) {
		c.stream = func(ctx context.Context, stream string, o *store.ReadOptions) iter.Seq2[store.Recorded, error] {
			if o == nil || o.Filter.IsZero() || o.Backward || o.Limit > 0 || o.Seen != nil {
				return c.face.Stream(ctx, stream, o)
			}
			return func(yield func(store.Recorded, error) bool) {
				again := *o
				for found := true; found; {
					found = false
					for e, err := range c.face.Stream(ctx, stream, &again) {
						if !yield(e, err) || err != nil {
							return
						}
						found, again.From, again.After = true, e.Number+1, 0
					}
				}
			}
		}
	}},
	{name: "choice-swallows-errors", what: "a read with a filter that can't be made is empty", store: choosy(
		func(_ string, _ *store.ReadOptions, read func() ([]store.Recorded, error)) ([]store.Recorded, error) {
			list, err := read()
			for _, is := range []error{store.ErrStreamNotFound, store.ErrStreamDeleted, store.ErrStreamReplaced, store.ErrPositionLost, store.ErrInvalid, context.Canceled} {
				if errors.Is(err, is) {
					return list, nil
				}
			}
			return list, err
		})},
	{name: "ends-chosen-always", what: "a page has the events at its ends, asked for or not", storage: filtering(
		func(ctx context.Context, r store.ReadRequest, f store.EventFilter, read filteredRead) ([]store.Recorded, int64, error) {
			r.ChosenOnly = r.Backward
			return read(ctx, r, f)
		})},
	{name: "back-page-is-the-start", what: "a page that is read backward is taken for the last", storage: turning(
		func(page []store.Recorded, _ store.ReadRequest, _ int64) ([]store.Recorded, int64) { return page, 0 })},
	{name: "back-skips", what: "a full page that is read backward passes one number more", storage: turning(
		func(page []store.Recorded, r store.ReadRequest, next int64) ([]store.Recorded, int64) {
			if len(page) == r.Limit {
				next = max(next-1, 0)
			}
			return page, next
		})},
	{name: "back-is-upward", what: "a page that is read backward comes in the order of a forward one", storage: turning(
		func(page []store.Recorded, _ store.ReadRequest, next int64) ([]store.Recorded, int64) {
			slices.Reverse(page)
			return page, next
		})},
	{name: "back-window-is-the-start", what: "a page that has found nothing backward is taken for the last", storage: turning(
		func(page []store.Recorded, _ store.ReadRequest, next int64) ([]store.Recorded, int64) {
			if len(page) == 0 {
				next = 0
			}
			return page, next
		})},
	{name: "index-without-prefix", what: "an index of types finds the events of all streams", storage: indexing(
		func(r store.TypedRequest, read func(r store.TypedRequest) (store.TypedPart, error)) (store.TypedPart, error) {
			r.StreamPrefix = ""
			return read(r)
		})},
	{name: "index-has-one-page", what: "an index of types finds one page", storage: indexing(
		func(r store.TypedRequest, read func(r store.TypedRequest) (store.TypedPart, error)) (store.TypedPart, error) {
			part, err := read(r)
			for last := part; err == nil && last.Rest != nil; {
				r.From, r.Rest = last.Next, last.Rest
				last, err = read(r)
				part.Next = last.Next
			}
			part.Rest = nil
			return part, err
		})},
	{name: "index-goes-up", what: "an index of types finds events upwards only", storage: indexing(
		func(r store.TypedRequest, read func(r store.TypedRequest) (store.TypedPart, error)) (store.TypedPart, error) {
			part, err := read(r)
			if r.Backward {
				slices.Reverse(part.Events)
			}
			return part, err
		})},
	{name: "types-by-name", what: "types are listed by name", store: func(c *careless) {
		c.types = func(list []store.TypeInfo) []store.TypeInfo {
			slices.SortFunc(list, func(a, b store.TypeInfo) int {
				if a.Type < b.Type {
					return -1
				}
				return 1
			})
			return list
		}
	}},
	{name: "types-first-is-last", what: "the first event of a type is its last", store: func(c *careless) {
		c.types = func(list []store.TypeInfo) []store.TypeInfo {
			for i := range list {
				list[i].First = list[i].Last
			}
			return list
		}
	}},
	{name: "types-first-time", what: "the last event of a type has the time of the first", store: func(c *careless) {
		c.types = func(list []store.TypeInfo) []store.TypeInfo {
			for i := range list {
				list[i].LastAt = list[i].FirstAt
			}
			return list
		}
	}},
}

// lateChoiceFaults need other writers.
var lateChoiceFaults = []fault{
	{name: "choice-seen-too-far-beside", what: "a read with a filter has seen the next number, too", store: saying(
		func(_ string, o *store.ReadOptions, _ []store.Recorded) { o.Seen.Version++ })},
	{name: "types-forgotten-beside", what: "the type that is rarest is not listed", store: func(c *careless) {
		c.types = func(list []store.TypeInfo) []store.TypeInfo { return list[:max(len(list)-1, 0)] }
	}},
}
