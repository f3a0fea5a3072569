package store

import "encoding/json"

// Serializer turns values into bytes and back. It is called outside the database, and may be called concurrently.
type Serializer interface {
	// Encode returns value encoded for an event of the given type. The caller does not change the result.
	Encode(eventType string, value any) ([]byte, error)
	// Decode decodes data into the value that into points to. When into is a *any, it makes a value of the type that
	// is registered under eventType, or returns an error that is ErrUnknownType. It must not keep data.
	Decode(eventType string, data []byte, into any) error
}

// TypeNamer is implemented by a [Serializer] that knows the names of registered types: an [Event] may then leave out
// its Type.
type TypeNamer interface {
	TypeName(value any) (name string, ok bool)
}

// plainJSON is the serializer of a Store that was given none: encoding/json, without a registry.
type plainJSON struct{}

func (plainJSON) Encode(_ string, value any) ([]byte, error) { return json.Marshal(value) }

func (plainJSON) Decode(_ string, data []byte, into any) error {
	if _, ok := into.(*any); ok {
		return ErrUnknownType
	}
	return json.Unmarshal(data, into)
}

// codec is the pair of serializers of a Store, shared by all the events it returns.
type codec struct{ data, metadata Serializer }

func (c *codec) dataOrJSON() Serializer {
	if c == nil {
		return plainJSON{}
	}
	return c.data
}

func (c *codec) metadataOrJSON() Serializer {
	if c == nil {
		return plainJSON{}
	}
	return c.metadata
}
