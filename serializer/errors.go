package serializer

import (
	"fmt"
	"strings"

	"github.com/eventstore-go/eventstore/store"
)

// UnknownTypeError is [store.ErrUnknownType]: nothing is registered under the name.
type UnknownTypeError struct{ Type string }

func (e *UnknownTypeError) Error() string {
	return fmt.Sprintf("serializer: no type is registered as %q: register it, or decode into a type of your choice", e.Type)
}

// Is matches [store.ErrUnknownType].
func (e *UnknownTypeError) Is(target error) bool { return target == store.ErrUnknownType }

// UnknownVersionError is [store.ErrUnknownVersion]: the type is registered, but there is no way from this version of it to the
// newest.
type UnknownVersionError struct {
	Type       string
	Version    int  // that leads nowhere: the event's, or one that upcasters have made of it
	Newest     int  // the newest version that is registered; 0 if there are only raw upcasters
	Registered bool // a Go type is registered for Version, so that what is missing is an upcaster
}

func (e *UnknownVersionError) Error() string {
	switch {
	case e.Registered:
		return fmt.Sprintf("serializer: version %d of %q has no upcaster that leads to version %d: add it with Upcast, UpcastMany or Drop", e.Version, e.Type, e.Newest)
	case e.Newest > 0 && e.Version > e.Newest:
		return fmt.Sprintf("serializer: version %d of %q is not registered, and %d is the newest that is: a newer program wrote it; deploy that program's types here", e.Version, e.Type, e.Newest)
	}
	return fmt.Sprintf("serializer: version %d of %q is not registered, and has no raw upcaster: register it with RegisterVersion, or add UpcastRaw", e.Version, e.Type)
}

// Is matches [store.ErrUnknownVersion].
func (e *UnknownVersionError) Is(target error) bool { return target == store.ErrUnknownVersion }

// WrongTypeError says that a value of a registered type was to be appended under another type's name, or is of an old
// version of its type; or that a value of another type was to be appended under the name of a registered type.
type WrongTypeError struct {
	Type       string // the event's
	Registered string // what the value's type is registered as, "" if it is not
	Version    int    // its version, and
	Newest     int    // the newest version of the type
	Value      string // the value's Go type
	Want       string // the Go type that is registered as Type, "" if there is none
}

func (e *WrongTypeError) Error() string {
	switch {
	case e.Registered == "" && e.Value == "<nil>":
		return fmt.Sprintf("serializer: the data is nil, but %q is registered for a %s; append a value of that", e.Type, e.Want)
	case e.Registered == "":
		return fmt.Sprintf("serializer: a %s is not registered, and %q is registered for a %s; append a value of that, or name %s by serializer.Register[%s] and append it under that name",
			e.Value, e.Type, e.Want, e.Value, strings.TrimPrefix(e.Value, "*"))
	case e.Version != e.Newest:
		return fmt.Sprintf("serializer: a %s is version %d of %q, of which %d is the newest: append that", e.Value, e.Version, e.Registered, e.Newest)
	case e.Registered == e.Type:
		return fmt.Sprintf("serializer: the data is a nil %s; append a value", e.Value)
	}
	return fmt.Sprintf("serializer: a %s is registered as %q, but the event's type is %q", e.Value, e.Registered, e.Type)
}

// SplitError is [store.ErrSplit]: upcasters have made another number of values of the event than one.
type SplitError struct {
	Type   string
	Values int
}

func (e *SplitError) Error() string {
	if e.Values == 0 {
		return fmt.Sprintf("serializer: upcasters drop this event of type %q: Values returns none", e.Type)
	}
	return fmt.Sprintf("serializer: upcasters make %d values of this event of type %q: Values returns them", e.Values, e.Type)
}

// Is matches [store.ErrSplit].
func (e *SplitError) Is(target error) bool { return target == store.ErrSplit }

// UpcastError says which version of a type an upcaster failed on. It wraps the upcaster's error.
type UpcastError struct {
	Type    string
	Version int
	Err     error
}

func (e *UpcastError) Error() string {
	return fmt.Sprintf("serializer: upcast version %d of %q: %v", e.Version, e.Type, e.Err)
}

func (e *UpcastError) Unwrap() error { return e.Err }
