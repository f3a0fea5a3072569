package protobuf

import (
	"fmt"
	"reflect"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/eventstore-go/eventstore/serializer"
)

var _ serializer.Format = Format{}

// Name is the content type of Protocol Buffers.
const Name = "protobuf"

// Format is Protocol Buffers in their binary form. The zero value can be used. It is safe for concurrent use.
//
// The message's type is not in the bytes: the event's type says it. Bytes of another message may decode without an error.
type Format struct {
	// DiscardUnknown drops fields that the message decoded into doesn't know. Otherwise it keeps them, and encodes them again.
	DiscardUnknown bool
	// RecursionLimit is how deep messages may be nested, the outermost and the entries of maps included: deeper ones are
	// neither encoded nor decoded. Default: 10,000.
	RecursionLimit int
}

// Register says that events called as the message is, by its full name such as "shop.orders.OrderPlaced", hold an M, in
// version 1. For a name of your own use [serializer.Register], which panics as this does.
func Register[M proto.Message](types *serializer.Types) {
	var none M
	if reflect.TypeFor[M]().Kind() != reflect.Pointer {
		panic(fmt.Sprintf("protobuf: %s is registered, but it is not a pointer to a message", reflect.TypeFor[M]()))
	}
	serializer.Register[M](types, string(none.ProtoReflect().Descriptor().FullName()))
}

// Name implements [serializer.Format].
func (Format) Name() string { return Name }

// Marshal implements [serializer.Format]. Equal messages become equal bytes in one build of a program, not in all of them. A
// value that is not a message is a [NotMessageError], one that could not be decoded again a [DepthError].
func (f Format) Marshal(value any) ([]byte, error) {
	m, ok := value.(proto.Message)
	if !ok || !m.ProtoReflect().IsValid() {
		return nil, &NotMessageError{Type: fmt.Sprintf("%T", value), Nil: ok}
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	limit := f.RecursionLimit
	if limit == 0 {
		limit = protowire.DefaultRecursionLimit
	}
	// A level takes two bytes at least, so few messages need a look.
	if len(data) >= 2*limit && deeper(m.ProtoReflect(), limit) {
		return nil, &DepthError{Type: fmt.Sprintf("%T", value), Limit: limit}
	}
	return data, nil
}

// Unmarshal implements [serializer.Format]. into is a message, or a pointer to a variable for one; anything else is a
// [NotMessageError]. What is there before is lost.
func (f Format) Unmarshal(data []byte, into any) error {
	o := proto.UnmarshalOptions{DiscardUnknown: f.DiscardUnknown, RecursionLimit: f.RecursionLimit}
	if m, ok := into.(proto.Message); ok {
		if !m.ProtoReflect().IsValid() {
			return &NotMessageError{Type: fmt.Sprintf("%T", into), Nil: true}
		}
		return o.Unmarshal(data, m)
	}
	variable := reflect.ValueOf(into)
	if variable.Kind() != reflect.Pointer || variable.IsNil() || variable.Type().Elem().Kind() != reflect.Pointer {
		return &NotMessageError{Type: fmt.Sprintf("%T", into)}
	}
	value := reflect.New(variable.Type().Elem().Elem())
	m, ok := value.Interface().(proto.Message)
	if !ok {
		return &NotMessageError{Type: fmt.Sprintf("%T", into)}
	}
	if err := o.Unmarshal(data, m); err != nil {
		return err
	}
	variable.Elem().Set(value)
	return nil
}

// NotMessageError says that a value can't be encoded, or decoded into, because it is not a message, or is a nil one.
type NotMessageError struct {
	Type string // the value's Go type
	Nil  bool
}

func (e *NotMessageError) Error() string {
	if e.Nil {
		return fmt.Sprintf("protobuf: a nil %s is no message", e.Type)
	}
	return fmt.Sprintf("protobuf: a %s is no protobuf message: use the pointer to a generated struct", e.Type)
}

// DepthError says that a message is nested too deep to be decoded again.
type DepthError struct {
	Type  string // the message's Go type
	Limit int    // see [Format]
}

func (e *DepthError) Error() string {
	return fmt.Sprintf("protobuf: a %s is nested deeper than %d levels, and could not be decoded", e.Type, e.Limit)
}
