package relay_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/serializer/msgpack"
	"github.com/eventstore-go/eventstore/serializer/zstd"
	"github.com/eventstore-go/eventstore/store"
	"github.com/eventstore-go/eventstore/store/relay"
	"github.com/eventstore-go/eventstore/store/storetest"
)

type Placed struct {
	Customer string `json:"customer"`
}

// PlacedBefore is version 1 of the type.
type PlacedBefore struct{ Name string }

func registry() *serializer.Types {
	types := serializer.NewTypes()
	serializer.Register[PlacedBefore](types, "order.placed")
	serializer.RegisterVersion[Placed](types, "order.placed", 2)
	serializer.Upcast(types, func(p PlacedBefore) (Placed, error) { return Placed{p.Name}, nil })
	return types
}

// packed is a serializer to msgpack.
func packed() store.Serializer {
	return serializer.New(msgpack.Format{}, &serializer.Options{Types: registry(), Formats: []serializer.Format{serializer.JSONFormat{}}})
}

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// recorded returns an event as a store records it.
func recorded(t *testing.T, o store.Options, e store.Event) store.Recorded {
	t.Helper()
	o.NewID = storetest.IDs()
	o.Now = storetest.Clock(time.Date(2026, 3, 1, 12, 0, 0, 7000, time.UTC), 0)
	es := storetest.Open(t, memory.New(), &o)
	_, err := es.Append(t.Context(), "order-17", store.NoStream, e)
	require.NoError(t, err)
	page, err := es.Page(t.Context(), store.All, nil)
	require.NoError(t, err)
	return page[0]
}

func TestPlain(t *testing.T) {
	t.Parallel()
	e := recorded(t, store.Options{}, store.Event{
		Type: "order.placed", Data: Placed{"ada"}, CausationID: storetest.ID(8), CorrelationID: storetest.ID(9),
		Metadata: map[string]any{"user": "ada", "traceparent": traceparent, "tracestate": "a=b", "baggage": 7},
	})
	m, err := relay.Plain(e)
	require.NoError(t, err)
	assert.Equal(t, storetest.ID(1).String(), m.UUID)
	assert.JSONEq(t, `{"customer":"ada"}`, string(m.Payload))
	assert.Equal(t, message.Metadata{
		"event_id": "00000000-0000-7000-8000-000000000001", "event_type": "order.placed", "event_stream": "order-17", "event_version": "1",
		"event_time": "2026-03-01T12:00:00.000007Z", "content_type": "application/json", "event_encoding": "json",
		"causation_id": "00000000-0000-7000-8000-000000000008", "correlation_id": "00000000-0000-7000-8000-000000000009",
		"traceparent": traceparent, "tracestate": "a=b",
	}, m.Metadata)
}

// TestPlainEncodings: headers say how the payload is encoded, and the trace context is found in metadata of any encoding.
func TestPlainEncodings(t *testing.T) {
	t.Parallel()
	with := func(o serializer.Options) store.Serializer { return serializer.New(msgpack.Format{}, &o) }
	e := recorded(t, store.Options{Serializer: with(serializer.Options{Types: registry()}), MetadataSerializer: with(serializer.Options{})}, store.Event{
		Data: Placed{"ada"}, Metadata: map[string]any{"traceparent": traceparent},
	})
	m, err := relay.Plain(e)
	require.NoError(t, err)
	assert.Equal(t, e.Data, []byte(m.Payload))
	for name, want := range map[string]string{
		relay.HeaderContentType: "application/msgpack", relay.HeaderEncoding: "msgpack;v=2", relay.HeaderTypeVersion: "2", relay.HeaderTraceparent: traceparent,
	} {
		assert.Equal(t, want, m.Metadata.Get(name), name)
	}

	compressed := with(serializer.Options{Types: registry(), Codings: []serializer.Coding{zstd.New(&zstd.Options{Threshold: 1})}})
	e = recorded(t, store.Options{Serializer: compressed}, store.Event{Data: Placed{strings.Repeat("ada ", 1000)}})
	m, err = relay.Plain(e)
	require.NoError(t, err)
	assert.Equal(t, "application/octet-stream", m.Metadata.Get(relay.HeaderContentType))
	assert.Equal(t, "msgpack;v=2+zstd", m.Metadata.Get(relay.HeaderEncoding))
}

// TestDecoded: consumers get JSON of the newest version, however and in whatever version the event is stored.
func TestDecoded(t *testing.T) {
	t.Parallel()
	old := serializer.NewTypes()
	serializer.Register[PlacedBefore](old, "order.placed")
	backend := memory.New()
	before := storetest.Open(t, backend, &store.Options{Serializer: serializer.New(msgpack.Format{}, &serializer.Options{Types: old})})
	_, err := before.Append(t.Context(), "order-17", store.NoStream, store.Event{Data: PlacedBefore{"ada"}, Metadata: map[string]string{"traceparent": traceparent}})
	require.NoError(t, err)
	now := storetest.Open(t, backend, &store.Options{Serializer: packed()})
	page, err := now.Page(t.Context(), store.All, nil)
	require.NoError(t, err)
	m, err := relay.Decoded(relay.Plain)(page[0])
	require.NoError(t, err)
	assert.JSONEq(t, `{"customer":"ada"}`, string(m.Payload))
	assert.Equal(t, "application/json", m.Metadata.Get(relay.HeaderContentType))
	assert.Equal(t, traceparent, m.Metadata.Get(relay.HeaderTraceparent))
	assert.Equal(t, page[0].ID.String(), m.UUID)

	plain := storetest.Open(t, backend, nil)
	_, err = plain.Append(t.Context(), "order-17", store.Any, store.Event{Type: "order.lost", Data: 1})
	require.NoError(t, err)
	page, err = now.Page(t.Context(), store.All, nil)
	require.NoError(t, err)
	_, err = relay.Decoded(relay.Plain)(page[1])
	require.ErrorIs(t, err, store.ErrUnknownType)
}

// gone is a serializer whose values are all forgotten.
type gone struct{ store.Serializer }

func (gone) DecodeAll(eventType, _ string, _ []byte) ([]any, error) {
	return []any{serializer.Forgotten{Type: eventType, Subject: "ada"}}, nil
}

// TestForgotten: what was forgotten is not published.
func TestForgotten(t *testing.T) {
	t.Parallel()
	e := recorded(t, store.Options{Serializer: gone{serializer.JSON(nil)}}, store.Event{Type: "order.placed", Data: Placed{"ada"}})
	_, err := relay.Decoded(relay.Plain)(e)
	require.ErrorIs(t, err, store.ErrForgotten)
}

func TestCloudEvents(t *testing.T) {
	t.Parallel()
	e := recorded(t, store.Options{}, store.Event{
		Type: "order.placed", Data: Placed{"ada"}, CausationID: storetest.ID(8), CorrelationID: storetest.ID(9),
		Metadata: map[string]any{"traceparent": traceparent},
	})
	m, err := relay.CloudEvents("/shop/orders")(e)
	require.NoError(t, err)
	assert.Equal(t, e.ID.String(), m.UUID)
	assert.Equal(t, "application/cloudevents+json; charset=UTF-8", m.Metadata.Get("content-type"))
	assert.JSONEq(t, `{
		"specversion": "1.0", "id": "00000000-0000-7000-8000-000000000001", "source": "/shop/orders", "type": "order.placed", "subject": "order-17",
		"time": "2026-03-01T12:00:00.000007Z", "datacontenttype": "application/json", "data": {"customer": "ada"},
		"traceparent": "`+traceparent+`", "partitionkey": "order-17",
		"correlationid": "00000000-0000-7000-8000-000000000009", "causationid": "00000000-0000-7000-8000-000000000008", "streamversion": "1"
	}`, string(m.Payload))

	e = recorded(t, store.Options{Serializer: packed()}, store.Event{Data: Placed{"ada"}})
	m, err = relay.CloudEvents("/shop/orders")(e)
	require.NoError(t, err)
	var event map[string]any
	require.NoError(t, json.Unmarshal(m.Payload, &event))
	assert.NotContains(t, event, "data")
	assert.Equal(t, "application/msgpack", event["datacontenttype"])
	assert.Equal(t, "msgpack;v=2", event["dataencoding"])
	assert.Equal(t, "2", event["typeversion"])
	var payload struct {
		Base64 []byte `json:"data_base64"`
	}
	require.NoError(t, json.Unmarshal(m.Payload, &payload))
	assert.Equal(t, e.Data, payload.Base64)
	for name := range event {
		assert.Regexp(t, `^([a-z0-9]{1,20}|data_base64)$`, name, "what the standard lets attributes be called")
	}
}

func TestCloudEventsBinary(t *testing.T) {
	t.Parallel()
	e := recorded(t, store.Options{}, store.Event{Type: "Bestellung \"größer\" 100%", Data: Placed{"ada"}})
	m, err := relay.CloudEventsBinary("/shop/orders", relay.PrefixKafka)(e)
	require.NoError(t, err)
	assert.JSONEq(t, `{"customer":"ada"}`, string(m.Payload))
	assert.Equal(t, message.Metadata{
		"ce_specversion": "1.0", "ce_id": "00000000-0000-7000-8000-000000000001", "ce_source": "/shop/orders", "ce_type": "Bestellung \"größer\" 100%",
		"ce_subject": "order-17", "ce_time": "2026-03-01T12:00:00.000007Z", "ce_partitionkey": "order-17", "ce_streamversion": "1",
		"content-type": "application/json", "content_type": "application/json",
	}, m.Metadata)

	m, err = relay.CloudEventsBinary("/shop/orders", relay.PrefixNATS)(e)
	require.NoError(t, err)
	assert.Equal(t, "Bestellung%20%22gr%C3%B6%C3%9Fer%22%20100%25", m.Metadata.Get("ce-type"))
}

// TestCloudEventsWithoutSource: the standard asks for a source.
func TestCloudEventsWithoutSource(t *testing.T) {
	t.Parallel()
	assert.Panics(t, func() { relay.CloudEvents("") })
	assert.Panics(t, func() { relay.CloudEventsBinary("", relay.PrefixKafka) })
}
