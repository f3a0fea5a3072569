package store

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// sameJSON reports whether two JSON texts hold the same value, as jsonb compares: blanks and the order of keys do not count, of
// a key that comes twice the last counts, and 1.0 is 1.
func sameJSON(a, b []byte) bool {
	valueA, okA := decodeJSON(a)
	valueB, okB := decodeJSON(b)
	return okA && okB && sameValue(valueA, valueB)
}

func decodeJSON(data []byte) (value any, ok bool) {
	if !json.Valid(data) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	err := d.Decode(&value)
	return value, err == nil
}

func sameValue(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, sameValue)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, sameValue)
	case json.Number:
		b, ok := b.(json.Number)
		return ok && sameNumber(string(a), string(b))
	}
	return a == b
}

func sameNumber(a, b string) bool { return a == b || decimalOf(a) == decimalOf(b) }

// decimal is a number as its significant digits and a power of ten, so that none is written out, however large it is.
type decimal struct {
	negative bool
	digits   string // without zeros at either end; empty for zero
	exponent int64
}

// decimalOf parses a number of a valid JSON text.
func decimalOf(text string) decimal {
	digits, negative := strings.CutPrefix(text, "-")
	digits, power := cutExponent(digits)
	exponent, err := strconv.ParseInt(power, 10, 32)
	if err != nil {
		return decimal{negative, text, 0} // beyond every database's numbers: equal to nothing but itself
	}
	whole, fraction, _ := strings.Cut(digits, ".")
	exponent -= int64(len(fraction))
	digits = strings.TrimLeft(whole+fraction, "0")
	trimmed := strings.TrimRight(digits, "0")
	if trimmed == "" {
		return decimal{}
	}
	return decimal{negative, trimmed, exponent + int64(len(digits)-len(trimmed))}
}

func cutExponent(number string) (digits, exponent string) {
	if i := strings.IndexAny(number, "eE"); i >= 0 {
		return number[:i], number[i+1:]
	}
	return number, "0"
}
