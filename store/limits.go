package store

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits, checked before anything is sent. Each violation is an [InvalidError] that names the field.
const (
	MaxStreamName = 1000     // bytes; a name is also non-empty, valid UTF-8 and without NUL; a leading "$" is reserved
	MaxType       = 255      // bytes; an event type is also non-empty, valid UTF-8 and without NUL
	MaxMetadata   = 1 << 20  // bytes, encoded
	MaxData       = 64 << 20 // bytes, encoded
	MaxPageSize   = 100_000  // events or streams
	MaxAppends    = 1000     // streams that one AppendAll writes to

	MaxContentType      = 100 // bytes, of data and of metadata each; valid UTF-8 without NUL and comma
	MaxSubscriptionName = 255 // bytes; a name is also non-empty, valid UTF-8 and without NUL; a leading "$" is reserved
	MaxProjectionName   = 200 // bytes, likewise
	MaxPartitions       = 1000
	MaxName             = 100 // bytes, of [Options].Name; valid UTF-8 without NUL
)

// checkWrite checks what append and link share.
func checkWrite(stream string, expected Expected, n int) error {
	if err := checkTarget(stream, expected); err != nil {
		return err
	}
	if n == 0 {
		return &InvalidError{Field: "events", Reason: "are empty: there is nothing to write"}
	}
	return nil
}

// checkTarget checks what every write shares.
func checkTarget(stream string, expected Expected) error {
	if strings.HasPrefix(stream, "$") {
		return &InvalidError{Field: "stream", Reason: fmt.Sprintf("%q can't be written: names starting with $ are reserved", stream), Err: ErrReservedStream}
	}
	if err := checkStream(stream); err != nil {
		return err
	}
	if expected.IsZero() {
		return &InvalidError{Field: "expected", Reason: "is not set: use Any, NoStream, StreamExists or Version(n)"}
	}
	return nil
}

func checkStream(stream string) error { return checkText("stream", stream, MaxStreamName) }

func checkType(t string) error { return checkText("type", t, MaxType) }

// checkFilter checks that events can have the types, and streams the prefix.
func checkFilter(types []string, prefix string) error {
	for _, t := range types {
		if err := checkType(t); err != nil {
			return err
		}
	}
	if prefix == "" {
		return nil
	}
	return checkText("Filter.StreamPrefix", prefix, MaxStreamName)
}

func checkText(field, s string, most int) error {
	switch {
	case s == "":
		return &InvalidError{Field: field, Reason: "is empty"}
	case len(s) > most:
		return &InvalidError{Field: field, Reason: fmt.Sprintf("is %d bytes long, at most %d are allowed", len(s), most)}
	case !utf8.ValidString(s):
		return &InvalidError{Field: field, Reason: fmt.Sprintf("%q is not valid UTF-8", s)}
	case strings.ContainsRune(s, 0):
		return &InvalidError{Field: field, Reason: fmt.Sprintf("%q contains a NUL byte", s)}
	}
	return nil
}

// inEvent makes the field of an InvalidError say which event it is of.
func inEvent(err error, i int) error {
	var invalid *InvalidError
	if errors.As(err, &invalid) {
		invalid.Field = fmt.Sprintf("events[%d].%s", i, invalid.Field)
	}
	return err
}
