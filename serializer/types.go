package serializer

import (
	"fmt"
	"reflect"
	"sync"
)

// Types gives event types their names and versions, and knows how old versions become new ones. It is safe for
// concurrent use; fill it when the program starts.
type Types struct {
	mu sync.RWMutex

	names map[string]*versions
	types map[reflect.Type]typeVersion
	steps map[reflect.Type]step                        // how a value becomes newer ones
	raw   map[typeVersion]func([]byte) ([]byte, error) // how bytes become those of the next version
}

// typeVersion is a version of an event type.
type typeVersion struct {
	name    string
	version int
}

// versions are the Go types of an event type, by version.
type versions struct {
	types  map[int]reflect.Type
	newest int
}

// NewTypes returns an empty registry.
func NewTypes() *Types {
	return &Types{
		names: map[string]*versions{}, types: map[reflect.Type]typeVersion{},
		steps: map[reflect.Type]step{}, raw: map[typeVersion]func([]byte) ([]byte, error){},
	}
}

// Register says that events called name hold a T, in version 1. It panics if the name is empty, or if the name or T is
// registered already: that is a mistake in the program. If T is a struct, values and pointers both encode, and decode as
// values; if T is a pointer, as those of protobuf messages are, they decode as pointers.
func Register[T any](types *Types, name string) { RegisterVersion[T](types, name, 1) }

// RegisterVersion is [Register] for a later version of the events called name. The newest is the one that is appended;
// for each that events were written in there must be a way to the newest: see [Upcast].
func RegisterVersion[T any](types *Types, name string, version int) {
	types.register(reflect.TypeFor[T](), typeVersion{name, version})
}

func (t *Types) register(typ reflect.Type, v typeVersion) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case v.name == "":
		panic(fmt.Sprintf("serializer: %s is registered under an empty name", typ))
	case v.version < 1:
		panic(fmt.Sprintf("serializer: %s is registered as version %d of %q: versions begin with 1", typ, v.version, v.name))
	}
	if before, twice := t.types[typ]; twice {
		panic(fmt.Sprintf("serializer: %s is registered already, as version %d of %q", typ, before.version, before.name))
	}
	known := t.names[v.name]
	if known == nil {
		known = &versions{types: map[int]reflect.Type{}}
		t.names[v.name] = known
	}
	if before, twice := known.types[v.version]; twice {
		panic(fmt.Sprintf("serializer: version %d of %q is registered already, for %s", v.version, v.name, before))
	}
	known.types[v.version] = typ
	known.newest = max(known.newest, v.version)
	t.types[typ] = v
}

// of returns what value's type, or what it points to, is registered as, and the newest version of that.
func (t *Types) of(value any) (v typeVersion, newest int, ok bool) {
	typ := reflect.TypeOf(value)
	if t == nil || typ == nil {
		return v, 0, false
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	v, ok = t.types[typ]
	if !ok && typ.Kind() == reflect.Pointer {
		v, ok = t.types[typ.Elem()]
	}
	if !ok {
		return v, 0, false
	}
	return v, t.names[v.name].newest, true
}

// goType returns the Go type of a version, and the newest version, 0 if there is none.
func (t *Types) goType(v typeVersion) (typ reflect.Type, newest int) {
	if t == nil {
		return nil, 0
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	known := t.names[v.name]
	if known == nil {
		return nil, 0
	}
	return known.types[v.version], known.newest
}

// newest returns the newest version of an event type, 0 if there is none.
func (t *Types) newest(name string) int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if known := t.names[name]; known != nil {
		return known.newest
	}
	return 0
}

// knows reports whether a Go type or a raw upcaster is registered for any version of an event type.
func (t *Types) knows(name string) bool {
	if t == nil {
		return false
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.names[name] != nil {
		return true
	}
	for v := range t.raw {
		if v.name == name {
			return true
		}
	}
	return false
}

// version returns what a Go type is registered as.
func (t *Types) version(typ reflect.Type) (v typeVersion, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	v, ok = t.types[typ]
	return v, ok
}
