package storetest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"unicode/utf8"
)

// short is how long JSON may be to be shown in one line.
const short = 100

// shown returns a name and a value, as people read them.
func shown(name string, value any) string {
	text := jsonOf(value)
	if text == "" {
		return name
	}
	return name + " " + text
}

// jsonOf returns a value as JSON, over several lines if it is long; bytes as they are if they are text.
func jsonOf(value any) string {
	if b, ok := value.([]byte); ok {
		return textOf(b)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprintf("%+v", value)
	}
	return pretty(text)
}

// textOf returns encoded bytes: JSON in order, other text quoted, anything else in hex.
func textOf(b []byte) string {
	switch {
	case len(b) == 0:
		return ""
	case json.Valid(b):
		return pretty(b)
	case utf8.Valid(b):
		return fmt.Sprintf("%q", b)
	}
	return "0x" + hex.EncodeToString(b)
}

// pretty returns JSON with sorted keys, over several lines if it is long.
func pretty(text []byte) string {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return string(text)
	}
	var line bytes.Buffer
	e := json.NewEncoder(&line)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return string(text)
	}
	sorted := bytes.TrimSuffix(line.Bytes(), []byte("\n"))
	if len(sorted) <= short {
		return string(sorted)
	}
	var out bytes.Buffer
	if json.Indent(&out, sorted, "", "  ") != nil {
		return string(sorted)
	}
	return out.String()
}

// typeName returns the name of a value's Go type, that of what it points to if it is a pointer.
func typeName(value any) string {
	v := deref(value)
	if v == nil {
		return "nil"
	}
	return reflect.TypeOf(v).String()
}

// deref returns what a pointer points to, and anything else as it is.
func deref(value any) any {
	if v := reflect.ValueOf(value); v.Kind() == reflect.Pointer && !v.IsNil() {
		return v.Elem().Interface()
	}
	return value
}

// same reports whether two values are equal, or have the same JSON, such as times in two zones after a round trip.
func same(a, b any) bool {
	a, b = deref(a), deref(b)
	if reflect.DeepEqual(a, b) {
		return true
	}
	x, err := json.Marshal(a)
	if err != nil {
		return false
	}
	y, err := json.Marshal(b)
	return err == nil && bytes.Equal(x, y) && len(x) > len("{}")
}
