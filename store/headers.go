package store

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
)

// headers are what the events of an append carry in their metadata.
type headers struct {
	fields  map[string]string
	members []byte // the same as members of a JSON object, without the braces
}

// newHeaders returns nil if there are none.
func newHeaders(fields map[string]string) *headers {
	if len(fields) == 0 {
		return nil
	}
	object, err := json.Marshal(fields)
	if err != nil {
		return nil // no map of strings fails
	}
	return &headers{fields: fields, members: object[1 : len(object)-1]}
}

// stamp adds the headers to n's encoded metadata, whose content type it is given and returns, if that can carry them.
func (h *headers) stamp(s Serializer, n *NewEvent, metadata any, contentType string) string {
	var stamped []byte
	switch {
	case metadata == nil:
		stamped, contentType = h.alone(s, n.Type)
	case IsJSON(contentType):
		stamped = h.intoObject(n.Metadata)
	default:
		stamped = h.intoMap(s, n.Type, metadata, contentType)
	}
	if stamped != nil && len(stamped) <= MaxMetadata {
		n.Metadata = stamped
	}
	return contentType
}

// alone returns metadata that is nothing but the headers, or nil where the serializer may not take a map: one that is not
// known, or that compresses or encrypts, which may ask the program whose a value is.
func (h *headers) alone(s Serializer, eventType string) (encoded []byte, contentType string) {
	t, ok := s.(ContentTyper)
	switch {
	case !ok || strings.Contains(t.ContentType(), "+"):
		return nil, ""
	case t.ContentType() == JSON:
		return h.intoObject([]byte("{}")), JSON
	}
	encoded, contentType, err := s.Encode(eventType, maps.Clone(h.fields))
	if err != nil || checkContentType("metadata", contentType) != nil {
		return nil, ""
	}
	return encoded, contentType
}

// intoObject returns a JSON object with the headers, or nil if encoded is none or has one of them.
func (h *headers) intoObject(encoded []byte) []byte {
	const space = " \t\r\n"
	rest := bytes.TrimLeft(encoded, space)
	if len(rest) == 0 || rest[0] != '{' || h.inObject(rest) {
		return nil
	}
	rest = bytes.TrimLeft(rest[1:], space)
	stamped := make([]byte, 0, len(h.members)+len(rest)+2)
	stamped = append(append(stamped, '{'), h.members...)
	if len(rest) > 0 && rest[0] != '}' {
		stamped = append(stamped, ',')
	}
	return append(stamped, rest...)
}

// inObject reports whether a JSON object has one of the headers, or is none.
func (h *headers) inObject(object []byte) bool {
	named := false
	for name := range h.fields {
		named = named || bytes.Contains(object, []byte(name))
	}
	if !named { // so it needs no closer look
		return false
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(object, &members) != nil {
		return true
	}
	return overlap(members, h.fields)
}

// intoMap returns a map with the headers, encoded, or nil if metadata is no map or has one of them.
func (h *headers) intoMap(s Serializer, eventType string, metadata any, contentType string) []byte {
	var with any
	switch m := metadata.(type) {
	case map[string]any:
		if overlap(m, h.fields) {
			return nil
		}
		all := make(map[string]any, len(m)+len(h.fields))
		maps.Copy(all, m)
		for name, value := range h.fields {
			all[name] = value
		}
		with = all
	case map[string]string:
		if overlap(m, h.fields) {
			return nil
		}
		all := make(map[string]string, len(m)+len(h.fields))
		maps.Copy(all, m)
		maps.Copy(all, h.fields)
		with = all
	default:
		return nil
	}
	encoded, now, err := s.Encode(eventType, with)
	if err != nil || now != contentType {
		return nil
	}
	return encoded
}

// overlap reports whether the maps have a key in common.
func overlap[A, B any](a map[string]A, b map[string]B) bool {
	for key := range b {
		if _, ok := a[key]; ok {
			return true
		}
	}
	return false
}
