package serializer

import (
	"encoding/json"
	"fmt"

	"github.com/eventstore-go/eventstore/store"
)

var (
	_ store.Serializer = jsonSerializer{}
	_ store.TypeNamer  = jsonSerializer{}
)

// JSON returns a serializer that uses encoding/json. types may be nil.
//
// Any value that encoding/json takes can be encoded: registered types, but also maps and json.RawMessage, which must be
// valid JSON (it is stored without its insignificant white space). An event of a registered type may leave out its
// Type; giving it another type's name is a [WrongTypeError]. Values of types that are not registered go under any name.
//
// Decoding into a *any makes a value (not a pointer) of the type registered under the event's type; if there is none,
// it is an [UnknownTypeError], so that reading an event of an unknown type is no error, decoding it is. Decoding into
// any other pointer does not look at the event's type: it is json.Unmarshal, which ignores fields it finds no place
// for. A failed decode into a *any leaves it as it was.
func JSON(types *Types) store.Serializer { return jsonSerializer{types} }

type jsonSerializer struct{ types *Types }

// TypeName implements [store.TypeNamer].
func (s jsonSerializer) TypeName(value any) (string, bool) { return s.types.name(value) }

// Encode implements [store.Serializer].
func (s jsonSerializer) Encode(eventType string, value any) ([]byte, error) {
	if name, ok := s.types.name(value); ok && name != eventType {
		return nil, &WrongTypeError{Type: eventType, Registered: name, Value: fmt.Sprintf("%T", value)}
	}
	return json.Marshal(value)
}

// Decode implements [store.Serializer].
func (s jsonSerializer) Decode(eventType string, data []byte, into any) error {
	target, ok := into.(*any)
	if !ok || target == nil {
		return json.Unmarshal(data, into)
	}
	value, ok := s.types.fresh(eventType)
	if !ok {
		return &UnknownTypeError{Type: eventType}
	}
	if err := json.Unmarshal(data, value.Interface()); err != nil {
		return err
	}
	*target = value.Elem().Interface()
	return nil
}

// UnknownTypeError is [store.ErrUnknownType]: no Go type is registered under the name.
type UnknownTypeError struct{ Type string }

func (e *UnknownTypeError) Error() string {
	return fmt.Sprintf("serializer: no type is registered as %q: register it, or decode into a type of your choice", e.Type)
}

// Is matches [store.ErrUnknownType].
func (e *UnknownTypeError) Is(target error) bool { return target == store.ErrUnknownType }

// WrongTypeError says that a value of a registered type was to be appended under another type's name.
type WrongTypeError struct {
	Type       string // the event's
	Registered string // what the value's type is registered as
	Value      string // the value's Go type
}

func (e *WrongTypeError) Error() string {
	return fmt.Sprintf("serializer: a %s is registered as %q, but the event's type is %q", e.Value, e.Registered, e.Type)
}
