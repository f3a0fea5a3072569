package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrFormat is returned for what is no archive, or one that was damaged or cut off.
var ErrFormat = errors.New("this is no whole archive")

// FormatError says what is wrong with an archive, and in which line. It is ErrFormat.
type FormatError struct {
	Line   int64
	Reason string
}

func (e *FormatError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// Is matches ErrFormat.
func (e *FormatError) Is(target error) bool { return target == ErrFormat }

// stored are the members for stored bytes.
type stored struct {
	Data           json.RawMessage `json:"data"`
	DataBase64     *[]byte         `json:"data_base64"`
	Metadata       json.RawMessage `json:"metadata"`
	MetadataBase64 *[]byte         `json:"metadata_base64"`
}

func (s stored) bytes() (data, metadata []byte) {
	data, metadata = s.Data, s.Metadata
	if s.DataBase64 != nil {
		data = *s.DataBase64
	}
	if s.MetadataBase64 != nil {
		metadata = *s.MetadataBase64
	}
	return data, metadata
}

var kindPrefix = []byte(`{"kind":"`)

// kindIn returns the kind that a line says it has.
func kindIn(line []byte) string {
	rest, ok := bytes.CutPrefix(line, kindPrefix)
	if !ok {
		return ""
	}
	kind, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(kind)
}

// decode returns the record of a line.
func decode(line []byte) (record any, err error) {
	switch kind := kindIn(line); kind {
	case "header":
		record = &Header{}
	case "stream":
		record = &Stream{}
	case "link":
		record = &Link{}
	case "snapshot":
		var s struct {
			Snapshot
			stored
		}
		err := json.Unmarshal(line, &s)
		s.Snapshot.Data, s.Snapshot.Metadata = s.bytes()
		return &s.Snapshot, err
	case "subscription":
		record = &Subscription{}
	case "event":
		var e struct {
			Event
			stored
		}
		err := json.Unmarshal(line, &e)
		e.Event.Data, e.Event.Metadata = e.bytes()
		return &e.Event, err
	case "gone":
		record = &Gone{}
	case "end":
		record = &End{}
	default:
		return nil, fmt.Errorf("%q is no kind of record", kind)
	}
	return record, json.Unmarshal(line, record)
}
