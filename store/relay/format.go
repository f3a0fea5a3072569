package relay

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

// Format makes a message of an event. The UUID of the message is the event's id, for brokers that drop what they know. It may be called
// concurrently, must not change the event, and must return the same for the same event.
type Format func(e store.Recorded) (*message.Message, error)

// Headers of a message, in its Metadata. [Plain] sets those up to HeaderTypeVersion. [Run] adds HeaderKey and HeaderPosition in any format.
const (
	HeaderID          = "event_id"           // a UUID
	HeaderType        = "event_type"         // the name of the type
	HeaderStream      = "event_stream"       // where the event was appended
	HeaderVersion     = "event_version"      // its version there, from 1
	HeaderTime        = "event_time"         // when it was created: RFC 3339, UTC
	HeaderCausation   = "causation_id"       // a UUID; absent if there is none
	HeaderCorrelation = "correlation_id"     // likewise
	HeaderContentType = "content_type"       // of the payload, as MIME type: "application/json"
	HeaderEncoding    = "event_encoding"     // the content type that the store has noted, as a serializer of this library needs it: "msgpack;v=2+zstd"
	HeaderTypeVersion = "event_type_version" // the version of the type that the event is in; absent for 1
	HeaderKey         = "event_key"          // the partition key, for brokers that have partitions; absent if it is empty
	HeaderPosition    = "event_position"     // the position in the order of all events; absent if another stream than store.All is published

	HeaderTraceparent = "traceparent" // W3C trace context, where the event's metadata have it: see package store/telemetry
	HeaderTracestate  = "tracestate"
	HeaderBaggage     = "baggage"
)

// Plain is a [Format] whose payload is the data of the event as it is stored, with what else is known of the event in headers. Metadata are
// not published, except a trace context.
//
// Data that a serializer has compressed or encrypted stay so: use [Decoded] where consumers can't read them.
func Plain(e store.Recorded) (*message.Message, error) {
	m := message.NewMessage(e.ID.String(), e.Data)
	for name, value := range headers(e) {
		m.Metadata.Set(name, value)
	}
	return m, nil
}

// Decoded returns a [Format] that hands events to f with their data decoded by the serializer of the Store, and encoded again as JSON, in
// the newest version of their type: so consumers need to know neither how data are stored nor what types were in the past. f is [Plain], or
// what [CloudEvents] returns. An event that upcasters make several values of, or none, becomes a list in JSON. An event of a type that the
// program does not know fails with [store.ErrUnknownType], one whose data were forgotten with [store.ErrForgotten]: in Options.OnError
// choose whether to park or to skip these.
func Decoded(f Format) Format {
	return func(e store.Recorded) (*message.Message, error) {
		values, err := e.Values()
		if err != nil {
			return nil, err
		}
		for _, v := range values {
			if gone, ok := v.(error); ok && errors.Is(gone, store.ErrForgotten) {
				return nil, gone
			}
		}
		var plain any = values
		if len(values) == 1 {
			plain = values[0]
		}
		data, err := json.Marshal(plain)
		if err != nil {
			return nil, err
		}
		_, metadata, both := strings.Cut(e.ContentType, ",")
		e.Data, e.ContentType = data, store.JSON
		if both {
			e.ContentType += "," + metadata
		}
		return f(e)
	}
}

// headers returns what is known of an event beside its data.
func headers(e store.Recorded) map[string]string {
	encoding := encodingOf(e)
	h := map[string]string{
		HeaderID: e.ID.String(), HeaderType: e.Type, HeaderStream: e.Stream, HeaderVersion: strconv.FormatInt(e.Version, 10),
		HeaderTime: e.CreatedAt.UTC().Format(time.RFC3339Nano), HeaderContentType: encoding.mime(), HeaderEncoding: encoding.text,
	}
	if e.CausationID != uuid.Nil {
		h[HeaderCausation] = e.CausationID.String()
	}
	if e.CorrelationID != uuid.Nil {
		h[HeaderCorrelation] = e.CorrelationID.String()
	}
	if encoding.version != "" {
		h[HeaderTypeVersion] = encoding.version
	}
	for name, value := range trace(e) {
		h[name] = value
	}
	return h
}

// encoding is how data are encoded, as package serializer writes it: "json", "msgpack;v=2", "json;v=3+zstd+aes".
type encoding struct {
	text    string
	format  string
	version string // "" for 1
	coded   bool   // compressed or encrypted
}

func encodingOf(e store.Recorded) encoding {
	text, _, _ := strings.Cut(e.ContentType, ",")
	if text == "" {
		text = store.JSON
	}
	format, _, coded := strings.Cut(text, "+")
	format, version, _ := strings.Cut(format, ";v=")
	return encoding{text: text, format: format, version: version, coded: coded}
}

// isJSON reports whether the data are JSON as they are.
func (e encoding) isJSON() bool { return e.format == store.JSON && !e.coded }

// mime returns the MIME type of the data.
func (e encoding) mime() string {
	switch {
	case e.coded:
		return "application/octet-stream"
	case e.format == store.JSON:
		return "application/json"
	case e.format == "protobuf":
		return "application/protobuf"
	case e.format == "msgpack":
		return "application/msgpack"
	case strings.Contains(e.format, "/"): // a serializer of the program's may name its types so
		return e.format
	}
	return "application/octet-stream"
}

// trace returns the trace context that an event's metadata hold.
func trace(e store.Recorded) map[string]string {
	if len(e.Metadata) == 0 {
		return nil
	}
	names := []string{HeaderTraceparent, HeaderTracestate, HeaderBaggage}
	found := map[string]string{}
	_, metadata, _ := strings.Cut(e.ContentType, ",")
	if store.IsJSON(metadata) {
		if !bytes.Contains(e.Metadata, []byte(HeaderTraceparent)) && !bytes.Contains(e.Metadata, []byte(HeaderBaggage)) {
			return nil
		}
		var members map[string]json.RawMessage
		if json.Unmarshal(e.Metadata, &members) != nil {
			return nil
		}
		for _, name := range names {
			var text string
			if json.Unmarshal(members[name], &text) == nil && text != "" {
				found[name] = text
			}
		}
		return found
	}
	var members map[string]any
	if e.DecodeMetadata(&members) != nil {
		return nil
	}
	for _, name := range names {
		if text, ok := members[name].(string); ok && text != "" {
			found[name] = text
		}
	}
	return found
}
