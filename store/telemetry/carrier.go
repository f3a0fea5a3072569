package telemetry

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/eventstore-go/eventstore/store"
)

// carrier shows a propagator the metadata of an event. It decodes them when it has to.
type carrier struct {
	event  *store.Recorded
	fields map[string]string // nil: not decoded yet
}

// Get implements propagation.TextMapCarrier.
func (c *carrier) Get(key string) string {
	if c.fields == nil && c.isJSON() {
		if !bytes.Contains(c.event.Metadata, []byte(key)) {
			return ""
		}
		if value, ok := find(c.event.Metadata, key); ok {
			return value
		}
	}
	c.decode()
	return c.fields[key]
}

// find returns a member of a JSON object that is a string, or "". It does so without decoding the object, where it finds
// the member, or the object's end, before anything that is not plain: an escape, an object or a list. Metadata mostly are.
func find(object []byte, key string) (value string, ok bool) {
	rest, ok := after(object, '{')
	for ok {
		var name, text []byte
		if name, rest, ok = plain(rest); !ok {
			break
		}
		if rest, ok = after(rest, ':'); !ok {
			break
		}
		if text, rest, ok = plain(rest); ok {
			if string(name) == key {
				return string(text), true
			}
		} else if rest, ok = scalar(rest); !ok {
			break
		}
		if len(rest) > 0 && rest[0] == '}' {
			return "", true
		}
		rest, ok = after(rest, ',')
	}
	return "", false
}

const space = " \t\r\n"

// after returns what follows a character, without space.
func after(s []byte, char byte) (rest []byte, ok bool) {
	s = bytes.TrimLeft(s, space)
	if len(s) == 0 || s[0] != char {
		return s, false
	}
	return bytes.TrimLeft(s[1:], space), true
}

// plain returns a string without escapes, and what follows it.
func plain(s []byte) (text, rest []byte, ok bool) {
	if len(s) == 0 || s[0] != '"' {
		return nil, s, false
	}
	end := bytes.IndexAny(s[1:], "\"\\") + 1
	if end == 0 || s[end] != '"' {
		return nil, s, false
	}
	return s[1:end], bytes.TrimLeft(s[end+1:], space), true
}

// scalar skips a number, a boolean or null.
func scalar(s []byte) (rest []byte, ok bool) {
	end := bytes.IndexAny(s, ",}")
	if end < 0 || bytes.ContainsAny(s[:end], "{[\"") {
		return nil, false
	}
	return s[end:], true
}

// Set implements propagation.TextMapCarrier. What is recorded does not change.
func (*carrier) Set(string, string) {}

// Keys implements propagation.TextMapCarrier.
func (c *carrier) Keys() []string {
	c.decode()
	return slices.Collect(maps.Keys(c.fields))
}

func (c *carrier) isJSON() bool {
	_, contentType, _ := strings.Cut(c.event.ContentType, ",")
	return store.IsJSON(contentType)
}

// decode finds the strings in metadata that are a map. Others have none.
func (c *carrier) decode() {
	if c.fields != nil {
		return
	}
	c.fields = map[string]string{}
	if c.event.Metadata == nil {
		return
	}
	if !c.isJSON() {
		var members map[string]any
		if c.event.DecodeMetadata(&members) == nil {
			for name, value := range members {
				if text, ok := value.(string); ok {
					c.fields[name] = text
				}
			}
		}
		return
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(c.event.Metadata, &members) != nil {
		return
	}
	for name, value := range members {
		var text string
		if json.Unmarshal(value, &text) == nil {
			c.fields[name] = text
		}
	}
}
