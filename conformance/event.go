package conformance

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var eventCases = []testCase{
	{name: "event/data", why: "data come back as they were stored, whatever JSON they are", run: eventData},
	{name: "event/metadata", why: "metadata comes back, and absent metadata stays absent", run: eventMetadata},
	{name: "event/bytes", why: "encrypted or compressed data are any bytes, and come back as they were", run: eventBytes},
	{name: "event/content-type", why: "a stream may mix encodings: each event says how to decode it", run: eventContentType},
	{name: "event/cause", why: "causation and correlation are what a conversation is traced by", run: eventCause},
	{name: "event/correlation", tx: noTx, run: eventCorrelation, why: "a read of a correlation returns its events in the order in which they happened"},
	{name: "event/default-id", why: "ids that the store draws are distinct and rise with time, so that indexes stay small", run: eventDefaultID},
	{name: "event/type", why: "types are names in any script, up to their limit", run: eventType},
	{name: "event/created-at", why: "imports keep their times, to the microsecond and in UTC", run: eventCreatedAt},
	{name: "event/created-at-default", why: "without a time of its own an event has the time when it was appended", run: eventCreatedAtDefault},
	{name: "event/created-at-mixed", why: "each event of an append may have its own time or none", run: eventCreatedAtMixed},
	{name: "event/by-id", why: "causation is followed by reading the event that has the id", run: eventByID},
	{name: "event/by-unknown-id", why: "an id that names nothing is an error that says so", run: eventUnknown},
	{name: "event/same-everywhere", why: "an event is the same through its stream, a link, $all and its id; only its number differs", run: eventSame},
}

func eventData(f *fixture) {
	for name, text := range sorted(map[string]string{
		"object": `{"b":1,"a":{"c":[1,2,{"d":null}]}}`, "array": `[1,"two",3.5]`, "empty-object": `{}`, "empty-array": `[]`,
		"string": `"text"`, "empty-string": `""`, "number": `12345678901234`, "fraction": `-0.125`, "true": `true`, "null": `null`,
		"unicode": `"Füße 日本 😀 \u0001 \" \\ \n"`, "markup": `"<a href='x'>&amp;</a>"`, "long": `"` + strings.Repeat("0123456789", 12_000) + `"`,
	}) {
		f.sub(name, func(f *fixture) {
			f.append(name, store.NoStream, store.Event{Type: "t", Data: json.RawMessage(text)})
			got := f.read(name, nil)
			require.Len(f, got, 1)
			assert.JSONEq(f, text, string(got[0].Data))
			var want, value any
			require.NoError(f, json.Unmarshal([]byte(text), &want))
			raw, err := store.Decode[json.RawMessage](got[0])
			require.NoError(f, err)
			require.NoError(f, json.Unmarshal(raw, &value))
			assert.Equal(f, want, value)
		})
	}
}

func eventMetadata(f *fixture) {
	f.append("s", store.NoStream,
		store.Event{Type: "t", Data: 1},
		store.Event{Type: "t", Data: 1, Metadata: map[string]any{}},
		store.Event{Type: "t", Data: 1, Metadata: map[string]any{"user": "ü", "n": 7.0}},
		store.Event{Type: "t", Data: 1},
		store.Event{Type: "t", Data: 1, Metadata: json.RawMessage(`null`)},
		store.Event{Type: "t", Data: 1, Metadata: ""},
	)
	got := f.read("s", nil)
	require.Len(f, got, 6)
	assert.Nil(f, got[0].Metadata, "absent")
	assert.JSONEq(f, `{}`, string(got[1].Metadata))
	assert.JSONEq(f, `{"user":"ü","n":7}`, string(got[2].Metadata))
	assert.Nil(f, got[3].Metadata, "absent, between others")
	assert.Equal(f, `null`, string(got[4].Metadata), "a stored null is not absent")
	assert.Equal(f, `""`, string(got[5].Metadata))
	untouched := "as it was"
	require.NoError(f, got[0].DecodeMetadata(&untouched))
	assert.Equal(f, "as it was", untouched)
}

// rawBytes is a serializer that stores bytes as they are.
type rawBytes struct{}

func (rawBytes) Encode(_ string, value any) ([]byte, string, error) {
	return value.([]byte), store.JSON, nil
}
func (rawBytes) Decode(_, _ string, data []byte, into any) error {
	*into.(*[]byte) = append([]byte(nil), data...)
	return nil
}

func eventCorrelation(f *fixture) {
	storage, ok := f.storage.(store.CorrelationStorage)
	if !ok {
		f.counts.add(0, 1)
		f.Skip("excused: the backend does not find correlations: it is no store.CorrelationStorage")
	}
	one, other := uuid.New(), uuid.New()
	if indexed, ok := f.storage.(interface{ IndexCorrelations(context.Context) error }); ok {
		f.append("first", store.NoStream, store.Event{Type: "t", CorrelationID: one})
		_, err := storage.ReadCorrelation(f.ctx, store.CorrelationRequest{CorrelationID: one, From: 1, Limit: 10})
		require.ErrorIs(f, err, store.ErrNotIndexed, "nobody looks at all events without being asked")
		require.NoError(f, indexed.IndexCorrelations(f.ctx))
		require.NoError(f, indexed.IndexCorrelations(f.ctx), "it is there")
		f.delete("first", store.HardDelete)
	}
	base := f.head()
	for i := range 7 {
		f.append(fmt.Sprint("s", i%3), store.Any,
			store.Event{Type: "t", CorrelationID: one}, store.Event{Type: "t", CorrelationID: other}, store.Event{Type: "t"},
			store.Event{Type: "t", CorrelationID: one})
	}
	f.link("links", store.Any, f.read("s1", nil)...)
	f.delete("s2", store.HardDelete)
	f.delete("s0", store.SoftDelete)
	want := slices.DeleteFunc(f.all(), func(e store.Recorded) bool { return e.CorrelationID != one })
	require.Len(f, want, 10)
	for _, limit := range []int{1, 3, 1000} {
		var got []store.Recorded
		for r := (store.CorrelationRequest{CorrelationID: one, From: 1, Limit: limit}); ; {
			page, err := storage.ReadCorrelation(f.ctx, r)
			require.NoError(f, err)
			got = append(got, page.Events...)
			if len(page.Events) < limit {
				break
			}
			r.From, r.Rest = page.Events[len(page.Events)-1].Number+1, page.Rest
		}
		assert.Equal(f, numbers(want), numbers(got))
		assert.Equal(f, origins(want), origins(got))
		assert.Equal(f, store.IDs(want...), store.IDs(got...))
	}
	page, err := storage.ReadCorrelation(f.ctx, store.CorrelationRequest{CorrelationID: uuid.New(), From: 1, Limit: 10})
	require.NoError(f, err)
	assert.Empty(f, page.Events)
	// Through a Store, at once after the append.
	es := store.New(f.storage, nil)
	defer es.Close() //nolint:errcheck // nothing is subscribed
	f.append("s1", store.Any, store.Event{Type: "last", CorrelationID: other})
	got, err := collect(f, es.Correlation(f.ctx, other))
	require.NoError(f, err)
	require.Len(f, got, 6)
	assert.Equal(f, "last", got[5].Type)
	assert.Equal(f, base+29, got[5].Number)
	_, err = collect(f, es.Correlation(f.ctx, uuid.Nil))
	require.ErrorIs(f, err, store.ErrInvalid)
}

// labelled is JSON under the content type that the value says.
type labelled struct{}

type label string

func (labelled) Encode(_ string, value any) ([]byte, string, error) {
	data, err := json.Marshal(value)
	if l, ok := value.(label); ok && l != "" {
		return data, string(l), err
	}
	return data, store.JSON, err
}

func (labelled) Decode(_, contentType string, _ []byte, into any) error {
	*into.(*string) = contentType
	return nil
}

func eventContentType(f *fixture) {
	for name, labels := range sorted(map[string][]label{
		"json": {"", "json;v=2", "json;v=10", "json;v=2"}, "others": {"msgpack", "", "json+zstd", "protobuf;v=3+zstd+aes", `quo"te; no: \ 日本`},
	}) {
		f.sub(name, func(f *fixture) {
			es := f.open(&store.Options{Serializer: labelled{}, MetadataSerializer: labelled{}})
			var list []store.Event
			var want [][2]string
			for _, data := range labels {
				for _, metadata := range []any{nil, 1, labels[len(labels)-2]} {
					list = append(list, store.Event{Type: "t", Data: data, Metadata: metadata})
					l, _ := metadata.(label)
					want = append(want, [2]string{string(cmp.Or(data, store.JSON)), string(cmp.Or(l, store.JSON))})
				}
			}
			for _, e := range list {
				_, err := es.Append(f.ctx, name+"-one", store.Any, e)
				require.NoError(f, err, "%+v", e)
			}
			_, err := es.Append(f.ctx, name+"-many", store.NoStream, list...)
			require.NoError(f, err)
			many := f.read(name+"-many", nil)
			f.link(name+"-links", store.NoStream, many...)
			for _, stream := range []string{name + "-one", name + "-many", name + "-links"} {
				events, err := collect(f, es.Stream(f.ctx, stream, nil))
				require.NoError(f, err)
				f.sameLabels(want, events, stream)
			}
			all := f.all()
			f.sameLabels(slices.Concat(want, want), all[len(all)-2*len(want):], "$all")
			for i, e := range many {
				got, err := es.Event(f.ctx, e.ID)
				require.NoError(f, err)
				f.sameLabels(want[i:i+1], []store.Recorded{got}, "by id")
			}
			back := f.read(name+"-many", &store.ReadOptions{Backward: true})
			slices.Reverse(back)
			f.sameLabels(want, back, "backward")
			if k, ok := f.storage.(store.SubscriptionStorage); ok {
				page, _, err := k.ReadFiltered(f.ctx, store.ReadRequest{Stream: name + "-many", From: 1, Limit: len(want)}, store.EventFilter{Types: []string{"t"}})
				require.NoError(f, err)
				f.sameLabels(want, page, "filtered")
			}
		})
	}
}

// sameLabels checks the content types of events' data and metadata.
func (f *fixture) sameLabels(want [][2]string, events []store.Recorded, what string) {
	f.Helper()
	require.Len(f, events, len(want), what)
	for i, e := range events {
		data, metadata, both := strings.Cut(e.ContentType, ",")
		if !both {
			metadata = store.JSON
		}
		assert.Equal(f, want[i], [2]string{cmp.Or(data, store.JSON), metadata}, "%s: event %d", what, i)
	}
}

func eventBytes(f *fixture) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	es := f.open(&store.Options{Serializer: rawBytes{}, MetadataSerializer: rawBytes{}})
	values := [][]byte{every, {}, {0}, []byte(`{"b": 1,  "a":2}`), []byte(`\x41`), {0xff, 0xfe}}
	list := make([]store.Event, len(values))
	for i, v := range values {
		list[i] = store.Event{Type: "t", Data: v, Metadata: v}
	}
	_, err := es.Append(f.ctx, "s", store.NoStream, list...)
	require.NoError(f, err)
	got, err := collect(f, es.Stream(f.ctx, "s", nil))
	require.NoError(f, err)
	require.Len(f, got, len(values))
	for i, v := range values {
		assert.Equal(f, v, got[i].Data, "data %d", i)
		require.NotNil(f, got[i].Metadata, "metadata %d", i)
		assert.Equal(f, v, got[i].Metadata, "metadata %d", i)
	}
}

func eventCause(f *fixture) {
	cause, conversation := uuid.New(), uuid.New()
	f.append("s", store.NoStream,
		store.Event{Type: "t", Data: 1, CausationID: cause, CorrelationID: conversation},
		store.Event{Type: "t", Data: 1},
		store.Event{Type: "t", Data: 1, CorrelationID: conversation},
		store.Event{Type: "t", Data: 1, CausationID: cause},
	)
	var got [][2]uuid.UUID
	for _, e := range f.read("s", nil) {
		got = append(got, [2]uuid.UUID{e.CausationID, e.CorrelationID})
	}
	assert.Equal(f, [][2]uuid.UUID{{cause, conversation}, {}, {uuid.Nil, conversation}, {cause, uuid.Nil}}, got)
}

func eventDefaultID(f *fixture) {
	given := uuid.New()
	list := events(4)
	list[2].ID = given
	f.append("s", store.NoStream, list...)
	got := f.read("s", nil)
	require.Len(f, got, 4)
	seen := map[uuid.UUID]bool{}
	for i, e := range got {
		seen[e.ID] = true
		if i != 2 {
			assert.Equal(f, uuid.Version(7), e.ID.Version())
		}
	}
	assert.Len(f, seen, 4)
	assert.Equal(f, given, got[2].ID)
	assert.Less(f, got[0].ID.String(), got[1].ID.String(), "ids rise")
}

func eventType(f *fixture) {
	types := []string{"order.placed", "Überweisung", "日本", "a b", "'; drop table events; --", strings.Repeat("x", store.MaxType)}
	list := make([]store.Event, len(types))
	for i, t := range types {
		list[i] = store.Event{Type: t, Data: i}
	}
	f.append("s", store.NoStream, list...)
	for i, e := range f.read("s", nil) {
		assert.Equal(f, types[i], e.Type)
	}
}

func eventCreatedAt(f *fixture) {
	east := time.FixedZone("east", 5*3600+1800)
	times := []time.Time{
		time.Date(2020, 2, 29, 23, 59, 59, 999_999_999, time.UTC),
		time.Date(2021, 3, 4, 5, 6, 7, 123_456_789, east),
		time.Date(1903, 1, 2, 3, 4, 5, 678_901_000, time.UTC),
		time.Date(1969, 12, 31, 23, 59, 59, 999_999_000, time.UTC),
		time.Date(1, 1, 1, 0, 0, 0, 1_000, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC),
		time.Unix(0, 0),
	}
	list := events(len(times))
	for i := range list {
		list[i].CreatedAt = times[i]
	}
	f.append("s", store.NoStream, list...)
	for i, e := range f.read("s", nil) {
		assert.Equal(f, times[i].UTC().Truncate(time.Microsecond), e.CreatedAt, "event %d", i+1)
		assert.Equal(f, time.UTC, e.CreatedAt.Location(), "event %d", i+1)
	}
	assert.Equal(f, times[0].Truncate(time.Microsecond), f.info("s").CreatedAt, "an imported stream has the time of its first event")

	f.append("t", store.NoStream, list[1])
	f.append("t", store.Any, list[2])
	assert.Equal(f, times[1].UTC().Truncate(time.Microsecond), f.info("t").CreatedAt, "and keeps it")
}

// near checks that a time of the database's clock is about now, with an hour for clocks that disagree.
func near(f *fixture, at time.Time) {
	f.Helper()
	assert.WithinDuration(f, time.Now(), at, time.Hour)
	assert.Equal(f, time.UTC, at.Location())
	assert.Zero(f, at.Nanosecond()%1000, "whole microseconds")
}

func eventCreatedAtDefault(f *fixture) {
	for _, e := range f.fill("s", 2) {
		near(f, e.CreatedAt)
	}
	near(f, f.info("s").CreatedAt)
	f.link("t", store.NoStream, f.read("s", nil)...)
	near(f, f.info("t").CreatedAt)
	f.delete("s", store.SoftDelete)
	near(f, f.info("s").DeletedAt)
}

func eventCreatedAtMixed(f *fixture) {
	given := time.Date(2001, 2, 3, 4, 5, 6, 7_000, time.UTC)
	list := events(3)
	list[1].CreatedAt = given
	f.append("s", store.NoStream, list...)
	got := f.read("s", nil)
	require.Len(f, got, 3)
	near(f, got[0].CreatedAt)
	assert.Equal(f, given, got[1].CreatedAt)
	near(f, got[2].CreatedAt)
}

func eventByID(f *fixture) {
	f.fill("other", 2)
	got := f.fill("s", 3)
	f.link("links", store.NoStream, got[2], got[0])
	e, err := f.es.Event(f.ctx, got[2].ID)
	require.NoError(f, err)
	assert.Equal(f, got[2], e)
	assert.Equal(f, int64(3), e.Number, "its version, not a link's or a position")

	f.delete("s", store.SoftDelete)
	e, err = f.es.Event(f.ctx, got[1].ID)
	require.NoError(f, err, "of a soft-deleted stream")
	assert.Equal(f, got[1], e)
	f.delete("s", store.HardDelete)
	_, err = f.es.Event(f.ctx, got[1].ID)
	assert.ErrorIs(f, err, store.ErrEventNotFound)
}

func eventUnknown(f *fixture) {
	f.fill("s", 1)
	for _, id := range []uuid.UUID{uuid.New(), uuid.Nil} {
		e, err := f.es.Event(f.ctx, id)
		var missing *store.EventNotFoundError
		require.ErrorAs(f, err, &missing)
		assert.Equal(f, id, missing.ID)
		assert.Zero(f, e)
	}
}

func eventSame(f *fixture) {
	f.fill("other", 3)
	f.append("s", store.NoStream, store.Event{
		ID: uuid.New(), Type: "t", Data: map[string]int{"n": 1}, Metadata: map[string]int{"m": 2},
		CausationID: uuid.New(), CorrelationID: uuid.New(), CreatedAt: time.Date(2020, 1, 2, 3, 4, 5, 6_000, time.UTC),
	})
	want := f.read("s", nil)[0]
	f.fill("links", 1)
	f.link("links", store.Any, want)

	linked := f.read("links", nil)[1]
	assert.Equal(f, int64(2), linked.Number, "through a link")
	global := f.all()[3]
	assert.Equal(f, int64(4), global.Number, "in $all")
	linked.Number, global.Number = want.Number, want.Number
	assert.Equal(f, want, linked, "through a link")
	assert.Equal(f, want, global, "in $all")
}
