package serializer

import (
	"fmt"
	"reflect"
	"sync"
)

// Types maps names of event types to Go types and back. It is safe for concurrent use.
type Types struct {
	mu sync.RWMutex

	byName map[string]reflect.Type
	byType map[reflect.Type]string
}

// NewTypes returns an empty registry.
func NewTypes() *Types {
	return &Types{byName: map[string]reflect.Type{}, byType: map[reflect.Type]string{}}
}

// Register says that events called name hold a T. It panics if the name is empty, or if the name or T is registered
// already: that is a mistake in the program. T is the struct, not a pointer to it; values and pointers both encode.
func Register[T any](types *Types, name string) {
	types.register(reflect.TypeFor[T](), name)
}

func (t *Types) register(typ reflect.Type, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch before, twice := t.byName[name]; {
	case name == "":
		panic(fmt.Sprintf("serializer: %s is registered under an empty name", typ))
	case typ.Kind() == reflect.Pointer:
		panic(fmt.Sprintf("serializer: %s is registered as a pointer: register %s", typ, typ.Elem()))
	case twice:
		panic(fmt.Sprintf("serializer: %q is registered for %s already", name, before))
	}
	if before, twice := t.byType[typ]; twice {
		panic(fmt.Sprintf("serializer: %s is registered as %q already", typ, before))
	}
	t.byName[name], t.byType[typ] = typ, name
}

// name returns the name that value's type, or what it points to, is registered under.
func (t *Types) name(value any) (string, bool) {
	typ := reflect.TypeOf(value)
	if t == nil || typ == nil {
		return "", false
	}
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	name, ok := t.byType[typ]
	return name, ok
}

// fresh returns a pointer to a new value of the type registered under name.
func (t *Types) fresh(name string) (reflect.Value, bool) {
	if t == nil {
		return reflect.Value{}, false
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	typ, ok := t.byName[name]
	if !ok {
		return reflect.Value{}, false
	}
	return reflect.New(typ), true
}
