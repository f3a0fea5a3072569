package serializer

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/eventstore-go/eventstore/store"
)

// CheckType implements [store.TypeChecker]. [Forgotten] may always be asked for.
func (s *Serializer) CheckType(typ reflect.Type) error {
	if typ == reflect.TypeFor[Forgotten]() {
		return nil
	}
	if reason := s.types.notDecoded(typ); reason != "" {
		return &store.UnregisteredTypeError{GoType: typ.String(), Reason: reason}
	}
	return nil
}

// CheckData implements [store.TypeChecker]. Under the name of a registered type it takes the newest version of that type only; where
// the type has one version, it also takes a json.RawMessage, which is stored as it is. The error is a [WrongTypeError].
func (s *Serializer) CheckData(eventType string, value any) error {
	want := s.types.newestType(eventType)
	if want == nil {
		return nil
	}
	if v, newest, ok := s.types.of(value); ok && v == (typeVersion{eventType, newest}) {
		if !isNil(value) || isEmpty(want) {
			return nil
		}
	}
	_, raw := value.(json.RawMessage)
	if raw && s.types.hasOneVersion(eventType) || value == nil && isEmpty(want) {
		return nil
	}
	return s.wrongType(eventType, want, value)
}

// wrongType returns what is wrong with a value under the name of a registered type.
func (s *Serializer) wrongType(eventType string, want reflect.Type, value any) error {
	e := &WrongTypeError{Type: eventType, Value: fmt.Sprintf("%T", value), Want: want.String()}
	if v, newest, ok := s.types.of(value); ok {
		e.Registered, e.Version, e.Newest = v.name, v.version, newest
	}
	return e
}

// isNil reports whether a value is a nil pointer.
func isNil(value any) bool {
	v := reflect.ValueOf(value)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

// isEmpty reports whether a type has nothing that could get lost.
func isEmpty(typ reflect.Type) bool {
	return typ.Kind() == reflect.Struct && typ.NumField() == 0
}

// notDecoded returns why no event decodes to a value of a type, or "" if one may.
func (t *Types) notDecoded(typ reflect.Type) string {
	if t == nil {
		return fmt.Sprintf("the serializer has no registry of types; name the type by serializer.Register[%s], and give the registry to the serializer", typ)
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if typ.Kind() == reflect.Interface {
		for known := range t.types {
			if known.Implements(typ) && t.steps[known] == nil {
				return ""
			}
		}
		return "no registered type implements it; register those that do by serializer.Register"
	}
	if v, ok := t.types[typ]; ok {
		if t.steps[typ] == nil {
			return ""
		}
		return fmt.Sprintf("upcasters turn version %d of %q into other values; use the type of those", v.version, v.name)
	}
	if typ.Kind() == reflect.Pointer {
		if _, ok := t.types[typ.Elem()]; ok {
			return fmt.Sprintf("%s is registered, and decodes as a value; use %s", typ.Elem(), typ.Elem())
		}
	}
	if _, ok := t.types[reflect.PointerTo(typ)]; ok {
		return fmt.Sprintf("*%s is registered, and decodes as a pointer; use *%s", typ, typ)
	}
	return fmt.Sprintf("it is not registered; name it by serializer.Register[%s]", typ)
}

// newestType returns the Go type of the newest version of an event type, or nil if there is none.
func (t *Types) newestType(name string) reflect.Type {
	if t == nil {
		return nil
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if known := t.names[name]; known != nil {
		return known.types[known.newest]
	}
	return nil
}

// hasOneVersion reports whether an event type has never had another version than the first.
func (t *Types) hasOneVersion(name string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	known := t.names[name]
	return known != nil && known.newest == 1
}
