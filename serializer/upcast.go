package serializer

import (
	"errors"
	"fmt"
	"reflect"
)

// step makes newer values of a value.
type step func(value any) ([]any, error)

// Upcast says how an Old becomes a New: a newer version of the same events, or of others that have taken their place. Both
// must be registered. Whoever decodes an event that holds an Old gets the New, or what that becomes in turn. There is one
// step for each type; it panics if there is one already, or if Old would become itself in the end.
//
// Nothing is rewritten: an upcaster is part of the program for as long as there are such events. It runs on each decode,
// so it must be quick, depend on nothing but its argument, and be safe for concurrent use. A panic is an error of the
// event that it was called for.
func Upcast[Old, New any](types *Types, upcast func(Old) (New, error)) {
	types.addStep(reflect.TypeFor[Old](), func(value any) ([]any, error) {
		newer, err := upcast(value.(Old))
		if err != nil {
			return nil, err
		}
		return []any{newer}, nil
	}, reflect.TypeFor[New]())
}

// UpcastMany is [Upcast] where an Old becomes any number of values of registered types, none included, in the order they are returned. They
// share the event's number, and are acknowledged with it. Decode refuses such an event, as [store.ErrSplit], unless it
// became one value; [store.Recorded.Values] and handlers of a router get all of them.
func UpcastMany[Old any](types *Types, upcast func(Old) ([]any, error)) {
	types.addStep(reflect.TypeFor[Old](), func(value any) ([]any, error) { return upcast(value.(Old)) }, nil)
}

// Drop says that an Old means nothing any more: it becomes no value.
func Drop[Old any](types *Types) {
	UpcastMany(types, func(Old) ([]any, error) { return nil, nil })
}

func (t *Types) addStep(old reflect.Type, s step, newer reflect.Type) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, typ := range []reflect.Type{old, newer} {
		if _, registered := t.types[typ]; !registered && typ != nil {
			panic(fmt.Sprintf("serializer: %s is upcast but not registered", typ))
		}
	}
	if _, twice := t.steps[old]; twice {
		panic(fmt.Sprintf("serializer: there are two upcasters for %s", old))
	}
	if old == newer {
		panic(fmt.Sprintf("serializer: %s is upcast to itself", old))
	}
	t.steps[old] = s
}

// UpcastRaw says how the encoded data of a version becomes that of the next, for old versions that no Go type is kept
// for. It works on the bytes of one format. upcast must not change or keep what it is given.
func UpcastRaw(types *Types, name string, version int, upcast func(data []byte) ([]byte, error)) {
	types.mu.Lock()
	defer types.mu.Unlock()
	v := typeVersion{name, version}
	if known := types.names[name]; known != nil && known.types[version] != nil {
		panic(fmt.Sprintf("serializer: version %d of %q has a Go type already: it needs no raw upcaster", version, name))
	}
	if _, twice := types.raw[v]; twice || name == "" || version < 1 {
		panic(fmt.Sprintf("serializer: a raw upcaster for version %d of %q can't be added: it is there, or there can't be such a version", version, name))
	}
	types.raw[v] = upcast
}

// rawStep returns the raw upcaster of a version.
func (t *Types) rawStep(v typeVersion) func([]byte) ([]byte, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.raw[v]
}

// mostSteps bounds a chain of upcasters: a longer one is going in circles.
const mostSteps = 1000

var errCircle = errors.New("upcasters go in circles")

// newest returns what a value has become.
func (t *Types) newestOf(value any) ([]any, error) {
	values, left := []any{value}, mostSteps
	for i := 0; i < len(values); {
		typ := reflect.TypeOf(values[i])
		t.mu.RLock()
		s, v := t.steps[typ], t.types[typ]
		t.mu.RUnlock()
		if s == nil {
			if newest := t.newest(v.name); v.version < newest {
				return nil, &UnknownVersionError{Type: v.name, Version: v.version, Newest: newest, Registered: true}
			}
			i++
			continue
		}
		if left--; left < 0 {
			return nil, &UpcastError{Type: v.name, Version: v.version, Err: errCircle}
		}
		newer, err := called(s, values[i])
		if err != nil {
			return nil, &UpcastError{Type: v.name, Version: v.version, Err: err}
		}
		if err := t.allRegistered(newer); err != nil {
			return nil, &UpcastError{Type: v.name, Version: v.version, Err: err}
		}
		values = append(values[:i:i], append(newer, values[i+1:]...)...)
	}
	return values, nil
}

// allRegistered returns an error if a value is of a type that is not registered: handlers for it would be refused.
func (t *Types) allRegistered(values []any) error {
	for _, value := range values {
		if _, registered := t.version(reflect.TypeOf(value)); !registered {
			return fmt.Errorf("the upcaster returned a %T, which is not registered; name it by serializer.Register[%T]", value, value)
		}
	}
	return nil
}

// called calls an upcaster, and makes an error of a panic: one event that it does not expect must not end the program.
func called[In, Out any](upcast func(In) (Out, error), in In) (out Out, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return upcast(in)
}

// hasStep reports whether values of a type become others.
func (t *Types) hasStep(typ reflect.Type) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.steps[typ] != nil
}
