package serializer

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/eventstore-go/eventstore/store"
)

// JSON returns a serializer that uses encoding/json as it comes. types may be nil. It is New with a zero [JSONFormat].
func JSON(types *Types) *Serializer { return New(JSONFormat{}, &Options{Types: types}) }

// JSONFormat is JSON. The zero value is encoding/json as it comes: fields that a type has no place for are ignored, and a
// number decoded into an any is a float64.
//
// Any value that encoding/json takes can be encoded, also json.RawMessage, which must be valid JSON (it is stored without
// its insignificant white space).
type JSONFormat struct {
	// Strict refuses fields that the type decoded into has no place for.
	Strict bool
	// Numbers decodes a number into an any as a json.Number, which keeps all its digits.
	Numbers bool
	// MarshalFunc and UnmarshalFunc replace encoding/json, for instance by encoding/json/v2 with options of your own. Both
	// or neither must be set; Strict and Numbers do nothing then.
	MarshalFunc   func(value any) ([]byte, error)
	UnmarshalFunc func(data []byte, into any) error
}

// Name implements [Format].
func (JSONFormat) Name() string { return store.JSON }

// Marshal implements [Format].
func (f JSONFormat) Marshal(value any) ([]byte, error) {
	if f.MarshalFunc != nil {
		return f.MarshalFunc(value)
	}
	return json.Marshal(value)
}

// Unmarshal implements [Format].
func (f JSONFormat) Unmarshal(data []byte, into any) error {
	switch {
	case f.UnmarshalFunc != nil:
		return f.UnmarshalFunc(data, into)
	case !f.Strict && !f.Numbers:
		return json.Unmarshal(data, into)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if f.Strict {
		d.DisallowUnknownFields()
	}
	if f.Numbers {
		d.UseNumber()
	}
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more behind the value")
	}
	return nil
}
