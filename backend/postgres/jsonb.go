package postgres

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/eventstore-go/eventstore/backend/internal/sqlerr"
	"github.com/eventstore-go/eventstore/store"
)

// checkJSONB is [CheckJSONB] if the columns are jsonb.
func (b *Backend) checkJSONB(of string, data, metadata []byte) error {
	if !b.jsonb.Load() {
		return nil
	}
	return CheckJSONB(of, data, metadata)
}

// CheckJSONB returns a [store.InvalidError] if valid JSON is longer when jsonb returns it than may be read back. The server takes
// 1e131071 as a few bytes and returns all of its digits: 72 kB can become the gigabyte that no statement returns, and then no page
// with it is read. The error's field is prefix and data, or prefix and metadata.
func CheckJSONB(prefix string, data, metadata []byte) error {
	for _, part := range []struct {
		field string
		text  []byte
		most  int64
	}{{"data", data, store.MaxData}, {"metadata", metadata, store.MaxMetadata}} {
		if size := jsonbSize(part.text); size > part.most {
			return &store.InvalidError{
				Field:  prefix + part.field,
				Reason: fmt.Sprintf("is %d bytes long as jsonb returns it, at most %d are allowed", size, part.most),
			}
		}
	}
	return nil
}

// jsonbSize returns how long a valid JSON text is when jsonb returns it, at most: escapes may become shorter, and keys that come
// twice are left out.
func jsonbSize(text []byte) (size int64) {
	for i := 0; i < len(text); {
		n := 1
		switch c := text[i]; {
		case c == '"':
			n = stringLength(text[i:])
			size += int64(n)
		case c == '-' || c >= '0' && c <= '9':
			n = numberLength(text[i:])
			size += numberSize(text[i : i+n])
		case c == ',' || c == ':':
			size += 2 // jsonb puts a blank behind it
		case c != ' ' && c != '\t' && c != '\n' && c != '\r':
			size++
		}
		i += n
	}
	return size
}

// stringLength returns the length of the string literal at the start of text.
func stringLength(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

// numberLength returns the length of the number at the start of text.
func numberLength(text []byte) int {
	for i, c := range text {
		if (c < '0' || c > '9') && c != '-' && c != '+' && c != '.' && c != 'e' && c != 'E' {
			return i
		}
	}
	return len(text)
}

// mostDigits is above what the server takes before or behind the point of a number: it refuses more by itself.
const mostDigits = 200_000

// numberSize returns the length of a number when it is written without an exponent.
func numberSize(number []byte) int64 {
	e := bytes.IndexAny(number, "eE")
	if e < 0 {
		return int64(len(number))
	}
	exponent, err := strconv.ParseInt(string(number[e+1:]), 10, 64)
	switch {
	case err != nil && bytes.IndexByte(number[e:], '-') >= 0:
		exponent = -mostDigits
	case err != nil:
		exponent = mostDigits
	}
	exponent = min(max(exponent, -mostDigits), mostDigits)
	whole, fraction, _ := bytes.Cut(bytes.TrimPrefix(number[:e], []byte("-")), []byte("."))
	digits := max(int64(len(whole))+exponent, 1)
	if len(bytes.Trim(whole, "0")) == 0 && len(bytes.Trim(fraction, "0")) == 0 {
		digits = 1 // zero
	}
	return digits + max(int64(len(fraction))-exponent, 0) + int64(len("-."))
}

// largeJSON is from how many bytes on JSON can need more memory than the server gives to one value: it takes 32 bytes for each
// element of an array, and one value has less than 1 GB.
const largeJSON = 16 << 20

// beyondMemory makes of the server's internal error for JSON of so many bytes what it is: it would be refused again.
func (b *Backend) beyondMemory(size int, err error) error {
	if sqlerr.State(err) != internalError || size < largeJSON || !b.jsonOnly.Load() {
		return err
	}
	return &store.InvalidError{Field: "data or metadata", Reason: "is more than the server has memory for: " + err.Error(), Err: err}
}

// writesData reports whether a statement brings data and metadata.
func writesData(statement string) bool {
	return strings.HasPrefix(statement, "append_") || statement == "record_snapshot"
}
