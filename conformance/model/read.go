package model

import (
	"iter"

	"pgregory.net/rapid"

	"github.com/eventstore-go/eventstore/store"
)

// options draws how to read.
func (h *history) options(rt *rapid.T) *store.ReadOptions {
	o := &store.ReadOptions{
		Backward: rapid.Bool().Draw(rt, "backward"),
		Limit:    rapid.SampledFrom([]int{0, 0, 1, 2, 5}).Draw(rt, "limit"),
		PageSize: rapid.SampledFrom([]int{0, 1, 2, 3, 7}).Draw(rt, "page size"),
	}
	number := rapid.Int64Range(0, 12).Draw(rt, "number")
	switch {
	case o.Backward:
		o.Before = number
	case rapid.Bool().Draw(rt, "after"):
		o.After = number
	default:
		o.From = number
	}
	return o
}

func (h *history) read(rt *rapid.T) {
	stream, o := read().Draw(rt, "stream"), h.options(rt)
	h.sameStream(rt, stream, o)
}

func (h *history) sameStream(rt *rapid.T, stream string, o *store.ReadOptions) {
	real, realErr := drained(h.real.Stream(h.ctx, stream, o))
	model, modelErr := drained(h.model.Stream(h.ctx, stream, o))
	same(rt, "read of "+stream, real, model, realErr, modelErr)
}

// drained reads a sequence to its end.
func drained(seq iter.Seq2[store.Recorded, error]) ([]seen, error) {
	var list []store.Recorded
	for e, err := range seq {
		if err != nil {
			return views(list), err
		}
		list = append(list, e)
	}
	return views(list), nil
}

func (h *history) page(rt *rapid.T) {
	stream, o := read().Draw(rt, "stream"), h.options(rt)
	real, realErr := h.real.Page(h.ctx, stream, o)
	model, modelErr := h.model.Page(h.ctx, stream, o)
	same(rt, "page of "+stream, views(real), views(model), realErr, modelErr)
}

func (h *history) event(rt *rapid.T) {
	if len(h.ids) == 0 {
		rt.Skip("nothing was sent yet")
	}
	id := rapid.SampledFrom(h.ids).Draw(rt, "id")
	real, realErr := h.real.Event(h.ctx, id)
	model, modelErr := h.model.Event(h.ctx, id)
	same(rt, "event "+id.String(), view(real), view(model), realErr, modelErr)
}

// list compares names, versions and status. Ids and the clocks for deletes are each backend's own.
func (h *history) list(rt *rapid.T) {
	o := store.ListOptions{
		StreamFilter: store.StreamFilter{
			Search: rapid.SampledFrom([]string{"", "", "a", "%", "ä"}).Draw(rt, "search"),
			Status: rapid.SampledFrom([]store.StreamStatus{"", store.Active, store.Deleted}).Draw(rt, "status"),
		},
		SortBy:     rapid.SampledFrom([]store.SortBy{store.SortID, store.SortName, store.SortVersion}).Draw(rt, "sort"),
		Descending: rapid.Bool().Draw(rt, "descending"),
		PageSize:   rapid.IntRange(1, 4).Draw(rt, "page size"),
	}
	for _, byCursor := range []bool{false, true} {
		real, realErr := h.listed(h.real, o, byCursor)
		model, modelErr := h.listed(h.model, o, byCursor)
		same(rt, "list of streams", real, model, realErr, modelErr)
	}
}

// row is a stream in a list.
type row struct {
	Stream  string
	Version int64
	Status  store.StreamStatus
	Total   int64
}

func (h *history) listed(s *store.Store, o store.ListOptions, byCursor bool) ([]row, error) {
	var rows []row
	for {
		page, err := s.Streams(h.ctx, &o)
		if err != nil {
			return nil, err
		}
		for _, i := range page.Streams {
			rows = append(rows, row{Stream: i.Stream, Version: i.Version, Status: i.Status(), Total: page.Total})
		}
		if page.Next == "" {
			return rows, nil
		}
		if byCursor {
			o.Cursor = page.Next
		} else {
			o.Page = page.Page + 1
		}
	}
}

// whole compares all that is in the stores, at the end.
func (h *history) whole(rt *rapid.T) {
	for _, stream := range append([]string{store.All}, names...) {
		h.sameStream(rt, stream, nil)
		real, realErr := h.real.StreamInfo(h.ctx, stream)
		model, modelErr := h.model.StreamInfo(h.ctx, stream)
		same(rt, "info of "+stream, row{Version: real.Version, Status: real.Status()}, row{Version: model.Version, Status: model.Status()}, realErr, modelErr)
	}
}
