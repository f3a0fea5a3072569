package store

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// Serializer turns values into bytes and back. It is called outside the database, and may be called concurrently.
type Serializer interface {
	// Encode returns value encoded for an event of the given type, and its content type, which says how: [JSON], or
	// another name of at most MaxContentType bytes without a comma. The caller does not change the result.
	Encode(eventType string, value any) (data []byte, contentType string, err error)
	// Decode decodes data into the value that into points to. contentType is what Encode returned when the event was
	// appended, by whatever serializer the store had then; one that is not known is a [ContentTypeError]. When into is a
	// *any, it makes a value of the type that is registered under eventType, or returns an error that is
	// ErrUnknownType; ErrUnknownVersion if it knows the type, but not the version of it that the event is in. It must not
	// keep data.
	Decode(eventType, contentType string, data []byte, into any) error
}

// JSON is the content type of JSON. A serializer may add parameters, behind a semicolon.
const JSON = "json"

// IsJSON reports whether a [Recorded] with this content type holds JSON, in its data and its metadata, as a column of
// type jsonb can.
func IsJSON(contentType string) bool {
	for part := range strings.SplitSeq(contentType, ",") {
		format, rest, _ := strings.Cut(part, ";")
		if format != JSON && part != "" || strings.Contains(rest, "+") {
			return false
		}
	}
	return true
}

// ContentTyper is implemented by a [Serializer] that knows what content type it will return, so that a Store whose
// backend takes [JSON] only can refuse it from the start.
type ContentTyper interface {
	ContentType() string
}

// checkCodec returns why a Store with these serializers can't be used on storage.
func checkCodec(storage Storage, c *codec) error {
	only, ok := storage.(JSONOnly)
	if !ok || !only.JSONOnly() {
		return nil
	}
	for field, s := range map[string]Serializer{"Serializer": c.data, "MetadataSerializer": c.metadata} {
		if t, ok := s.(ContentTyper); ok && !IsJSON(t.ContentType()) {
			return &InvalidError{Field: field, Reason: NotJSON(t.ContentType())}
		}
	}
	return nil
}

// TypeNamer is implemented by a [Serializer] that knows the names of registered types: an [Event] may then leave out
// its Type.
type TypeNamer interface {
	TypeName(value any) (name string, ok bool)
}

// TypeChecker is implemented by a [Serializer] with a registry of Go types, so that a type that is missing in it is an error, and not
// an event that passes unnoticed.
type TypeChecker interface {
	// CheckType returns an [UnregisteredTypeError] if no event decodes, into a *any or by DecodeAll, to a value of the type; for an
	// interface, if no event decodes to a value that implements it.
	CheckType(typ reflect.Type) error
	// CheckData returns why value can't be the data of an event of the given type, although it can be encoded: the event would decode
	// to a value of another type. It is not asked about metadata.
	CheckData(eventType string, value any) error
}

// Opener is implemented by a [Serializer] that compresses, encrypts or otherwise wraps an encoding, so that a retry of an append is
// recognized though the bytes differ. See [Store.Append].
type Opener interface {
	// Open returns what is in the wrapping, and its content type. Two encodings of a value then have the same bytes, the same
	// JSON, or decode to equal values. It must not keep data.
	Open(eventType, contentType string, data []byte) (plainType string, plain []byte, err error)
}

// Upcaster is implemented by a [Serializer] for which an event may stand for any number of values.
type Upcaster interface {
	// DecodeAll returns the values that an event stands for today. Errors are those of Decode into a *any, but for ErrSplit.
	DecodeAll(eventType, contentType string, data []byte) ([]any, error)
}

// plainJSON is the serializer of a Store that was given none: encoding/json, without a registry.
type plainJSON struct{}

func (plainJSON) ContentType() string { return JSON }

func (plainJSON) CheckType(typ reflect.Type) error {
	return &UnregisteredTypeError{GoType: typ.String(), Reason: fmt.Sprintf(
		"the Store was made without a registry of types; name the type by serializer.Register[%s], and set Options.Serializer to serializer.JSON(types)", typ)}
}

func (plainJSON) CheckData(string, any) error { return nil }

func (plainJSON) Encode(_ string, value any) ([]byte, string, error) {
	data, err := json.Marshal(value)
	return data, JSON, err
}

func (plainJSON) Decode(_, contentType string, data []byte, into any) error {
	if contentType != JSON {
		return &ContentTypeError{ContentType: contentType}
	}
	if _, ok := into.(*any); ok {
		return ErrUnknownType
	}
	return json.Unmarshal(data, into)
}

// joinContentTypes returns what is stored for the content types of data and metadata: nothing if both are JSON.
func joinContentTypes(data, metadata string) string {
	switch {
	case metadata != JSON && metadata != "":
		return data + "," + metadata
	case data == JSON:
		return ""
	}
	return data
}

// contentTypes is the reverse.
func contentTypes(joined string) (data, metadata string) {
	if joined == "" {
		return JSON, JSON
	}
	data, metadata, both := strings.Cut(joined, ",")
	if !both {
		metadata = JSON
	}
	return data, metadata
}

func checkContentType(field, contentType string) error {
	if contentType == JSON {
		return nil
	}
	if err := checkText(field+" content type", contentType, MaxContentType); err != nil {
		return err
	}
	if strings.Contains(contentType, ",") {
		return &InvalidError{Field: field + " content type", Reason: fmt.Sprintf("%q contains a comma", contentType)}
	}
	return nil
}

// codec is the pair of serializers of a Store, shared by all the events it returns.
type codec struct{ data, metadata Serializer }

func (c *codec) dataOrJSON() Serializer {
	if c == nil {
		return plainJSON{}
	}
	return c.data
}

// checkType returns why no event of the Store decodes to a value of the type, if that is known.
func (c *codec) checkType(typ reflect.Type) error {
	if checker, ok := c.dataOrJSON().(TypeChecker); ok {
		return checker.CheckType(typ)
	}
	return nil
}

func (c *codec) metadataOrJSON() Serializer {
	if c == nil {
		return plainJSON{}
	}
	return c.metadata
}
