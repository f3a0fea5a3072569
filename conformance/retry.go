package conformance

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

const whyRetry = "a caller that never heard the answer sends the very same append again: it must neither fail nor write twice"
const whyNoRetry = "only the very same append is a retry; whatever else uses an id again would lose or repeat events if it passed"

var retryCases = []testCase{
	{name: "retry/same", why: whyRetry, run: retrySame},
	{name: "retry/batch", why: whyRetry, run: retryBatch},
	{name: "retry/other-belief", why: whyRetry, run: retryOtherBelief},
	{name: "retry/after-more-events", why: whyRetry, run: retryLater},
	{name: "retry/first-content-stays", why: "recorded events never change", run: retryContent},
	{name: "retry/other-content", run: retryOtherContent,
		why: "success would say that an event is recorded which is not: a program that uses an id for two events loses the second"},
	{name: "retry/encoded-anew", why: "maps have no order and encryption draws a nonce: a retry is the same value, not the same bytes", run: retryEncodedAnew},
	{name: "retry/not-the-same", why: whyNoRetry, run: retryNotTheSame},
	{name: "retry/other-version", why: whyNoRetry, run: retryOtherVersion},
	{name: "retry/linked", why: whyNoRetry, run: retryLinked},
	{name: "retry/soft-deleted", why: "a deleted stream takes no writes, retried or not", run: retrySoftDeleted},
	{name: "retry/hard-deleted", why: "after a hard delete the events are as if they had never been, so their ids are free", run: retryHardDeleted},
	{name: "retry/link", why: "an event is in a stream once: a link that is sent again does not add it again", run: retryLink},
}

// retried sends an append that was sent before and checks that it gives the first result and writes nothing.
func (f *fixture) retried(first store.AppendResult, e store.Expected, list ...store.Event) {
	f.Helper()
	was := f.info(first.Stream)
	head := f.head()
	res, err := f.es.Append(f.ctx, first.Stream, e, list...)
	require.NoError(f, err, "retry expecting %s", e)
	first.Retried = true
	assert.Equal(f, first, res, "the first result is returned again")
	assert.Equal(f, was, f.info(first.Stream))
	assert.Equal(f, head, f.head(), "nothing may be written")
}

// refused sends an append that uses ids again and checks that it is refused and writes nothing.
func (f *fixture) refused(is error, stream string, e store.Expected, list ...store.Event) {
	f.Helper()
	was, _ := f.version(stream)
	head := f.head()
	_, err := f.es.Append(f.ctx, stream, e, list...)
	require.ErrorIs(f, err, is, "append to %q expecting %s", stream, e)
	now, _ := f.version(stream)
	assert.Equal(f, was, now, "version of %q", stream)
	assert.Equal(f, head, f.head(), "nothing may be written")
}

func retrySame(f *fixture) {
	for name, e := range sorted(map[string]store.Expected{
		"any": store.Any, "no-stream": store.NoStream, "version-0": store.Version(0),
	}) {
		f.sub(name, func(f *fixture) {
			list := named(1)
			first := f.append(name, e, list...)
			f.retried(first, e, list...)
			f.retried(first, e, list...)
		})
	}
	for name, e := range sorted(map[string]store.Expected{"version-n": store.Version(2), "stream-exists": store.StreamExists}) {
		f.sub(name, func(f *fixture) {
			f.append(name, store.NoStream, events(2)...)
			list := named(1)
			first := f.append(name, e, list...)
			f.retried(first, e, list...)
		})
	}
}

func retryBatch(f *fixture) {
	list := named(5)
	f.append("s", store.NoStream, named(2)...)
	first := f.append("s", store.Version(2), list...)
	f.retried(first, store.Version(2), list...)
	assert.Equal(f, span(1, 7), numbers(f.read("s", nil)))
	assert.Equal(f, span(1, 7), numbers(f.all()))
}

// retryOtherBelief retries under beliefs that could have given the same versions.
func retryOtherBelief(f *fixture) {
	list := named(2)
	first := f.append("s", store.NoStream, list...)
	for _, e := range []store.Expected{store.Any, store.Version(0), store.NoStream, store.StreamExists} {
		f.retried(first, e, list...)
	}
}

func retryLater(f *fixture) {
	one, two := named(2), named(3)
	first := f.append("s", store.NoStream, one...)
	second := f.append("s", store.Version(2), two...)
	f.fill("s", 4)
	f.fill("other", 1)
	f.retried(first, store.NoStream, one...)
	f.retried(first, store.Any, one...)
	f.retried(second, store.Version(2), two...)
	f.retried(second, store.StreamExists, two...)
}

// retryContent retries with what describes the try, not the event, changed.
func retryContent(f *fixture) {
	list := named(2)
	first := f.append("s", store.NoStream, list...)
	was := f.read("s", nil)
	for i := range list {
		list[i].Metadata, list[i].CreatedAt = map[string]int{"m": 99}, time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
		list[i].CausationID, list[i].CorrelationID = uuid.New(), uuid.New()
	}
	f.retried(first, store.NoStream, list...)
	assert.Equal(f, was, f.read("s", nil))
}

// retryOtherContent sends the ids of an append again with other events.
func retryOtherContent(f *fixture) {
	at := []store.Expected{store.NoStream, store.Any, store.StreamExists, store.Version(0)}
	for name, n := range sorted(map[string]int{"single": 1, "batch": 3, "page": store.DefaultPageSize + 1}) {
		for what, change := range sorted(map[string]func(e *store.Event){
			"type":        func(e *store.Event) { e.Type += "-changed" },
			"data":        func(e *store.Event) { e.Data = map[string]string{"text": "a"} },
			"same-length": func(e *store.Event) { e.Data = map[string]string{"text": "z"} },
			"null":        func(e *store.Event) { e.Data = nil },
		}) {
			at := at
			if n > 3 {
				if at = at[:1]; what != "same-length" {
					continue
				}
			}
			f.sub(name+"/"+what, func(f *fixture) {
				stream := name + "/" + what
				list := named(n)
				last := &list[n-1]
				last.Data = map[string]string{"text": "b"}
				if what == "data" {
					last.Data = 1
				}
				first := f.append(stream, store.NoStream, list...)
				was := f.read(stream, nil)
				sent := *last
				change(last)
				for _, e := range at {
					f.refused(store.ErrDuplicateEvent, stream, e, list...)
				}
				_, err := f.es.Append(f.ctx, stream, store.Any, list...)
				var duplicate *store.DuplicateEventError
				require.ErrorAs(f, err, &duplicate)
				differs := "data"
				if what == "type" {
					differs = "type"
				}
				assert.Equal(f, store.DuplicateEventError{Stream: stream, ID: last.ID, Differs: differs}, *duplicate)
				assert.Equal(f, was, f.read(stream, nil))
				*last = sent
				f.retried(first, store.NoStream, list...)
			})
		}
	}
}

// restless is a serializer of JSON that gives a value other bytes each time.
type restless struct{ calls *atomic.Int64 }

func (restless) ContentType() string { return store.JSON }

func (r restless) Encode(_ string, value any) ([]byte, string, error) {
	data, err := json.Marshal(value)
	if r.calls.Add(1)%2 == 0 {
		return fmt.Appendf(nil, `{"value": %s, "padding": 1.0}`, data), store.JSON, err
	}
	return fmt.Appendf(nil, `{"padding":10e-1,"value":%s}`, data), store.JSON, err
}

func (restless) Decode(_, _ string, data []byte, into any) error {
	var wrapped struct{ Value json.RawMessage }
	if err := json.Unmarshal(data, &wrapped); err != nil {
		return err
	}
	return json.Unmarshal(wrapped.Value, into)
}

func retryEncodedAnew(f *fixture) {
	f.es = f.open(&store.Options{HardDelete: true, Serializer: restless{new(atomic.Int64)}})
	list := named(3)
	first := f.append("s", store.NoStream, list...)
	for range 3 { // an odd number of events: each is encoded in both ways
		f.retried(first, store.NoStream, list...)
	}
	list[1].Data = map[string]any{"n": 99}
	f.refused(store.ErrDuplicateEvent, "s", store.NoStream, list...)
}

func retryNotTheSame(f *fixture) {
	one, two := named(3), named(2)
	f.append("s", store.NoStream, one...)
	f.append("s", store.Any, two...)
	f.append("other", store.NoStream, events(1)...)
	fresh := named(1)[0]
	unnamed := store.Event{Type: "t", Data: 1}
	for name, list := range sorted(map[string][]store.Event{
		"other-order":       {one[1], one[0], one[2]},
		"reversed":          {one[2], one[1], one[0]},
		"prefix":            {one[0], one[1]},
		"first-only":        {one[0]},
		"suffix":            {one[1], one[2]},
		"middle":            {one[1]},
		"with-a-hole":       {one[0], one[2]},
		"one-more":          {one[0], one[1], one[2], fresh},
		"one-before":        {fresh, one[0], one[1], one[2]},
		"one-exchanged":     {one[0], fresh, one[2]},
		"id-left-out":       {one[0], unnamed, one[2]},
		"first-id-left-out": {unnamed, one[1], one[2]},
		"two-appends":       {one[0], one[1], one[2], two[0], two[1]},
		"across-appends":    {one[2], two[0], two[1]},
	}) {
		f.sub(name, func(f *fixture) {
			f.refused(store.ErrDuplicateEvent, "s", store.Any, list...)
			f.refused(store.ErrDuplicateEvent, "s", store.Version(5), list...)
		})
	}
	f.sub("other-stream", func(f *fixture) {
		f.refused(store.ErrDuplicateEvent, "other", store.Any, one...)
		f.refused(store.ErrDuplicateEvent, "other", store.Version(1), one...)
		f.refused(store.ErrDuplicateEvent, "new", store.NoStream, one...)
	})
}

// retryOtherVersion sends the ids with a version that the first append can't have had. The version is judged first.
func retryOtherVersion(f *fixture) {
	list := named(1)
	f.append("s", store.NoStream, events(2)...)
	f.append("s", store.Version(2), list...)
	f.refused(store.ErrWrongExpectedVersion, "s", store.Version(1), list...)
	f.refused(store.ErrWrongExpectedVersion, "s", store.NoStream, list...)
	f.refused(store.ErrWrongExpectedVersion, "s", store.Version(9), list...)
	f.refused(store.ErrWrongExpectedVersion, "other", store.Version(9), list...)
	f.refused(store.ErrDuplicateEvent, "s", store.Version(3), list...)
}

func retryLinked(f *fixture) {
	list := named(2)
	f.append("source", store.NoStream, list...)
	f.link("target", store.NoStream, f.read("source", nil)...)
	f.refused(store.ErrDuplicateEvent, "target", store.Any, list...)
	f.refused(store.ErrWrongExpectedVersion, "target", store.NoStream, list...)
}

func retrySoftDeleted(f *fixture) {
	list := named(2)
	f.append("s", store.NoStream, list...)
	f.delete("s", store.SoftDelete)
	f.refused(store.ErrStreamDeleted, "s", store.NoStream, list...)
	f.refused(store.ErrStreamDeleted, "s", store.Any, list...)
}

func retryHardDeleted(f *fixture) {
	list := named(2)
	f.append("s", store.NoStream, list...)
	f.delete("s", store.HardDelete)
	res := f.append("s", store.NoStream, list...)
	assert.Equal(f, store.AppendResult{Stream: "s", First: 1, Last: 2}, res)
	assert.Equal(f, span(3, 4), numbers(f.all()))
	f.retried(res, store.NoStream, list...)
}

func retryLink(f *fixture) {
	source := f.fill("source", 2)
	f.link("target", store.NoStream, source...)
	ids := []uuid.UUID{source[0].ID, source[1].ID}
	_, err := f.es.Link(f.ctx, "target", store.Any, ids...)
	assert.ErrorIs(f, err, store.ErrDuplicateEvent)
	_, err = f.es.Link(f.ctx, "target", store.NoStream, ids...)
	assert.ErrorIs(f, err, store.ErrWrongExpectedVersion)
	assert.Equal(f, span(1, 2), numbers(f.read("target", nil)))
}
