package relay

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

// Content types of CloudEvents.
const (
	// CloudEventsJSON is the content type of a message in structured mode.
	CloudEventsJSON = "application/cloudevents+json; charset=UTF-8"
	specVersion     = "1.0"
)

// Prefixes of the headers of CloudEvents in binary mode, as the bindings of the standard for each protocol have them. HTTP has the same as
// NATS.
const (
	PrefixKafka = "ce_"
	PrefixNATS  = "ce-"
	PrefixAMQP  = "cloudEvents_"
)

// attributes are the context attributes of a CloudEvent: first those that the standard names, then its documented extensions, then ours.
type attributes struct {
	SpecVersion     string `json:"specversion"`
	ID              string `json:"id"`
	Source          string `json:"source"`
	Type            string `json:"type"`
	Subject         string `json:"subject"`
	Time            string `json:"time"`
	DataContentType string `json:"datacontenttype,omitempty"`

	TraceParent   string `json:"traceparent,omitempty"`
	TraceState    string `json:"tracestate,omitempty"`
	PartitionKey  string `json:"partitionkey,omitempty"`
	CorrelationID string `json:"correlationid,omitempty"`
	CausationID   string `json:"causationid,omitempty"`

	StreamVersion string `json:"streamversion"`
	TypeVersion   string `json:"typeversion,omitempty"`
	DataEncoding  string `json:"dataencoding,omitempty"`
}

func attributesOf(e store.Recorded, source string) attributes {
	encoding, traces := encodingOf(e), trace(e)
	a := attributes{
		SpecVersion: specVersion, ID: e.ID.String(), Source: source, Type: e.Type, Subject: e.Stream,
		Time: e.CreatedAt.UTC().Format(time.RFC3339Nano), DataContentType: encoding.mime(),
		TraceParent: traces[HeaderTraceparent], TraceState: traces[HeaderTracestate], PartitionKey: e.Stream,
		StreamVersion: strconv.FormatInt(e.Version, 10), TypeVersion: encoding.version,
	}
	if !encoding.isJSON() {
		a.DataEncoding = encoding.text
	}
	if e.CorrelationID != uuid.Nil {
		a.CorrelationID = e.CorrelationID.String()
	}
	if e.CausationID != uuid.Nil {
		a.CausationID = e.CausationID.String()
	}
	return a
}

// CloudEvents returns a [Format] in structured mode: the payload is a CloudEvent 1.0 in JSON, with the data of the event in it, in base64
// if they are not JSON. source is the URI reference of the service that records the events, such as "/shop/orders"; together with the
// event's id it identifies the event. CloudEvents panics if it is empty.
//
// The stream is the subject. Extension attributes are traceparent, tracestate, partitionkey (the stream), correlationid and causationid, as
// the standard describes them, and streamversion, the event's version in its stream, typeversion, the version of its type if it is not 1,
// and dataencoding, how the data are encoded if not as JSON.
func CloudEvents(source string) Format {
	mustHave(source)
	return func(e store.Recorded) (*message.Message, error) {
		event := struct {
			attributes
			Data   json.RawMessage `json:"data,omitempty"`
			Base64 []byte          `json:"data_base64,omitempty"`
		}{attributes: attributesOf(e, source)}
		if encodingOf(e).isJSON() {
			event.Data = e.Data
		} else {
			event.Base64 = e.Data
		}
		payload, err := json.Marshal(event)
		if err != nil {
			return nil, err
		}
		m := message.NewMessage(e.ID.String(), payload)
		m.Metadata.Set(HeaderContentType, CloudEventsJSON)
		m.Metadata.Set("content-type", CloudEventsJSON)
		return m, nil
	}
}

// CloudEventsBinary returns a [Format] in binary mode: the payload is the data of the event, and the attributes are headers whose names
// begin with prefix: [PrefixKafka], [PrefixNATS] or [PrefixAMQP]. The content type of the data is in the headers content-type and
// content_type. With PrefixNATS, values are percent-encoded as the standard asks for HTTP. For source and attributes see [CloudEvents].
func CloudEventsBinary(source, prefix string) Format {
	mustHave(source)
	return func(e store.Recorded) (*message.Message, error) {
		a := attributesOf(e, source)
		m := message.NewMessage(e.ID.String(), e.Data)
		m.Metadata.Set(HeaderContentType, a.DataContentType)
		m.Metadata.Set("content-type", a.DataContentType)
		a.DataContentType = "" // it is no attribute in this mode
		text, err := json.Marshal(a)
		if err != nil {
			return nil, err
		}
		var headers map[string]string
		if err := json.Unmarshal(text, &headers); err != nil {
			return nil, err
		}
		for name, value := range headers {
			if prefix == PrefixNATS {
				value = percent(value)
			}
			m.Metadata.Set(prefix+name, value)
		}
		return m, nil
	}
}

// percent encodes the characters that the header of an HTTP message can't have in a CloudEvent: all but those from U+0021 to U+007E, and
// the double quote and the percent sign.
func percent(value string) string {
	var b strings.Builder
	for i := range len(value) {
		if c := value[i]; c < 0x21 || c > 0x7e || c == '"' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func mustHave(source string) {
	if source == "" {
		panic("relay: the source of CloudEvents is empty; give the URI reference of the service, such as /shop/orders")
	}
}
