package archive

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Format is the version of the format that this package writes, and the newest that it reads.
const Format = 1

// kindOf returns the kind of a record.
func kindOf(record any) (string, error) {
	switch record.(type) {
	case *Header:
		return "header", nil
	case *Stream:
		return "stream", nil
	case *Link:
		return "link", nil
	case *Snapshot:
		return "snapshot", nil
	case *Subscription:
		return "subscription", nil
	case *Event:
		return "event", nil
	case *Gone:
		return "gone", nil
	case *End:
		return "end", nil
	}
	return "", fmt.Errorf("archive: %T is no record", record)
}

// encode appends a record's line to b.
func encode(b []byte, record any) ([]byte, error) {
	kind, err := kindOf(record)
	if err != nil {
		return b, err
	}
	var object bytes.Buffer
	e := json.NewEncoder(&object)
	e.SetEscapeHTML(false)
	if err := e.Encode(record); err != nil {
		return b, err
	}
	b = append(b, `{"kind":"`...)
	b = append(b, kind...)
	b = append(b, `",`...)
	b = append(b, bytes.TrimSuffix(object.Bytes()[1:], []byte("}\n"))...)
	switch r := record.(type) {
	case *Event:
		b = appendData(appendData(b, "data", r.Data), "metadata", r.Metadata)
	case *Snapshot:
		b = appendData(appendData(b, "data", r.Data), "metadata", r.Metadata)
	case *Header: // may end with a list
	}
	return append(b, '}', '\n'), nil
}

// appendData appends a member for stored bytes: as they are, if they are JSON on one line, else in base64.
func appendData(b []byte, name string, data []byte) []byte {
	if data == nil {
		return b
	}
	b = append(b, `,"`...)
	b = append(b, name...)
	if plain(data) {
		b = append(b, `":`...)
		return append(b, data...)
	}
	b = append(b, `_base64":"`...)
	b = base64.StdEncoding.AppendEncode(b, data)
	return append(b, '"')
}

// plain reports whether data can stand in a line as a value, and is read from it as it was, byte for byte.
func plain(data []byte) bool {
	return len(data) > 0 && !bytes.ContainsAny(data, "\n\r") && data[0] > ' ' && data[len(data)-1] > ' ' && json.Valid(data) && utf8.Valid(data)
}
