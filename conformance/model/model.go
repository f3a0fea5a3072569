package model

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// Run compares the storages that newStorage returns, each empty and its own, with the one in memory. What newStorage
// leaves to tb.Cleanup is done after each history.
func Run(t *testing.T, newStorage func(tb testing.TB) store.Storage) {
	t.Helper()
	check(t, t, newStorage)
}

// check is Run, with failures told to failures.
func check(failures rapid.TB, t testing.TB, newStorage func(tb testing.TB) store.Storage) {
	rapid.Check(failures, func(rt *rapid.T) {
		tb := &scope{TB: t}
		defer tb.end()
		opts := &store.Options{HardDelete: true}
		h := &history{
			ctx:   t.Context(),
			real:  store.New(newStorage(tb), opts),
			model: store.New(memory.New(), opts),
			clock: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
		}
		rt.Repeat(map[string]func(*rapid.T){
			"append":     h.append,
			"appendAll":  h.appendAll,
			"retry":      h.retry,
			"retryAll":   h.retryAll,
			"link":       h.link,
			"softDelete": func(rt *rapid.T) { h.delete(rt, store.SoftDelete) },
			"hardDelete": func(rt *rapid.T) { h.delete(rt, store.HardDelete) },
			"undelete":   h.undelete,
			"read":       h.read,
			"page":       h.page,
			"event":      h.event,
			"list":       h.list,
			"":           h.check,
		})
		h.whole(rt)
	})
}

// scope is a testing.TB whose cleanups run at the end of a history.
type scope struct {
	testing.TB
	cleanups []func()
}

func (s *scope) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

func (s *scope) end() {
	for i := len(s.cleanups) - 1; i >= 0; i-- {
		s.cleanups[i]()
	}
}

// history is two stores that have been through the same.
type history struct {
	ctx         context.Context
	real, model *store.Store
	clock       time.Time   // goes on with each event, so that both stores have the same times
	sent        []sent      // appends that were tried
	together    [][]sent    // the same of appends to several streams
	ids         []uuid.UUID // of all events that were sent
}

// sent is an append to be sent again.
type sent struct {
	stream   string
	expected store.Expected
	events   []store.Event
}

var names = []string{"a", "b", "c", "A", "a%", "ä b"}

// written draws a stream to write to.
func written() *rapid.Generator[string] { return rapid.SampledFrom(names) }

// read draws a stream to read, which is often that of all events.
func read() *rapid.Generator[string] { return rapid.OneOf(written(), rapid.Just(store.All)) }

// expected draws a belief, most often one that holds.
func (h *history) expected(rt *rapid.T, stream string) store.Expected {
	switch n := rapid.IntRange(0, 9).Draw(rt, "belief"); n {
	case 0:
		return store.NoStream
	case 1:
		return store.StreamExists
	case 2:
		return store.Version(rapid.Int64Range(-1, 6).Draw(rt, "version"))
	case 3, 4, 5:
		info, err := h.model.StreamInfo(h.ctx, stream)
		if err != nil {
			return store.Version(0)
		}
		return store.Version(info.Version)
	}
	return store.Any
}

// events draws what to append.
func (h *history) events(rt *rapid.T) []store.Event {
	list := make([]store.Event, rapid.IntRange(1, 5).Draw(rt, "events"))
	for i := range list {
		h.clock = h.clock.Add(time.Millisecond)
		list[i] = store.Event{
			ID:            h.id(rt),
			Type:          rapid.SampledFrom([]string{"placed", "paid", "ü"}).Draw(rt, "type"),
			Data:          rapid.SampledFrom([]any{1, "", nil, "text", map[string]int{"n": 1}}).Draw(rt, "data"),
			Metadata:      rapid.SampledFrom([]any{nil, nil, map[string]string{"user": "me"}}).Draw(rt, "metadata"),
			CorrelationID: rapid.SampledFrom([]uuid.UUID{uuid.Nil, {1}}).Draw(rt, "correlation"),
			CreatedAt:     h.clock,
		}
	}
	return list
}

// id returns a new id, or seldom one that was sent before.
func (h *history) id(rt *rapid.T) uuid.UUID {
	if len(h.ids) > 0 && rapid.IntRange(0, 19).Draw(rt, "again") == 0 {
		return rapid.SampledFrom(h.ids).Draw(rt, "id")
	}
	id := uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, len(h.ids)))
	h.ids = append(h.ids, id)
	return id
}

func (h *history) append(rt *rapid.T) {
	stream := written().Draw(rt, "stream")
	s := sent{stream, h.expected(rt, stream), h.events(rt)}
	h.sent = append(h.sent, s)
	h.send(rt, s)
}

// retry sends an append again, as it was or changed.
func (h *history) retry(rt *rapid.T) {
	if len(h.sent) == 0 {
		rt.Skip("nothing was sent yet")
	}
	s := rapid.SampledFrom(h.sent).Draw(rt, "append")
	switch rapid.IntRange(0, 5).Draw(rt, "change") {
	case 0:
		s.stream = written().Draw(rt, "stream")
	case 1:
		s.expected = h.expected(rt, s.stream)
	case 2:
		s.events = s.events[:rapid.IntRange(1, len(s.events)).Draw(rt, "cut")]
	case 3:
		s.events = rapid.Permutation(s.events).Draw(rt, "order")
	}
	h.send(rt, s)
}

func (h *history) send(rt *rapid.T, s sent) {
	real, realErr := h.real.Append(h.ctx, s.stream, s.expected, s.events...)
	model, modelErr := h.model.Append(h.ctx, s.stream, s.expected, s.events...)
	same(rt, fmt.Sprintf("append of %d to %q expecting %s", len(s.events), s.stream, s.expected), real, model, realErr, modelErr)
}

func (h *history) appendAll(rt *rapid.T) {
	streams := rapid.SliceOfNDistinct(written(), 2, 4, rapid.ID).Draw(rt, "streams")
	list := make([]sent, len(streams))
	for i, stream := range streams {
		list[i] = sent{stream, h.expected(rt, stream), h.events(rt)}
	}
	h.together = append(h.together, list)
	h.sendAll(rt, list)
}

// retryAll sends appends to several streams again, as they were or changed.
func (h *history) retryAll(rt *rapid.T) {
	if len(h.together) == 0 {
		rt.Skip("nothing was sent yet")
	}
	list := slices.Clone(rapid.SampledFrom(h.together).Draw(rt, "appends"))
	s := &list[rapid.IntRange(0, len(list)-1).Draw(rt, "which")]
	switch rapid.IntRange(0, 5).Draw(rt, "change") {
	case 0:
		list = rapid.Permutation(list).Draw(rt, "order")
	case 1:
		s.expected = h.expected(rt, s.stream)
	case 2:
		s.events = s.events[:rapid.IntRange(1, len(s.events)).Draw(rt, "cut")]
	case 3:
		list = list[1:]
	}
	h.sendAll(rt, list)
}

func (h *history) sendAll(rt *rapid.T, list []sent) {
	appends := make([]store.StreamAppend, len(list))
	for i, s := range list {
		appends[i] = store.To(s.stream, s.expected, s.events...)
	}
	real, realErr := h.real.AppendAll(h.ctx, appends...)
	model, modelErr := h.model.AppendAll(h.ctx, appends...)
	same(rt, fmt.Sprintf("append to %d streams", len(list)), real, model, realErr, modelErr)
}

func (h *history) link(rt *rapid.T) {
	if len(h.ids) == 0 {
		rt.Skip("there is nothing to link yet")
	}
	stream := written().Draw(rt, "stream")
	expected := h.expected(rt, stream)
	ids := rapid.SliceOfNDistinct(rapid.SampledFrom(h.ids), 1, min(3, len(h.ids)), rapid.ID).Draw(rt, "ids")
	real, realErr := h.real.Link(h.ctx, stream, expected, ids...)
	model, modelErr := h.model.Link(h.ctx, stream, expected, ids...)
	same(rt, fmt.Sprintf("link of %d to %q expecting %s", len(ids), stream, expected), real, model, realErr, modelErr)
}

// delete gives all events their positions first: those that a hard delete removes before could be without.
func (h *history) delete(rt *rapid.T, kind store.DeleteKind) {
	h.check(rt)
	stream := written().Draw(rt, "stream")
	expected := h.expected(rt, stream)
	realErr := h.real.Delete(h.ctx, stream, expected, kind)
	modelErr := h.model.Delete(h.ctx, stream, expected, kind)
	same(rt, fmt.Sprintf("delete (%d) of %q expecting %s", kind, stream, expected), 0, 0, realErr, modelErr)
}

func (h *history) undelete(rt *rapid.T) {
	stream := written().Draw(rt, "stream")
	expected := h.expected(rt, stream)
	realErr := h.real.Undelete(h.ctx, stream, expected)
	modelErr := h.model.Undelete(h.ctx, stream, expected)
	same(rt, fmt.Sprintf("undelete of %q expecting %s", stream, expected), 0, 0, realErr, modelErr)
}

// check compares the heads, after every step.
func (h *history) check(rt *rapid.T) {
	real, realErr := h.real.Head(h.ctx)
	model, modelErr := h.model.Head(h.ctx)
	same(rt, "head", real, model, realErr, modelErr)
}
