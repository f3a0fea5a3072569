package serializer

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/eventstore-go/eventstore/store"
)

var (
	_ store.Serializer  = (*Serializer)(nil)
	_ store.TypeNamer   = (*Serializer)(nil)
	_ store.Upcaster    = (*Serializer)(nil)
	_ store.Opener      = (*Serializer)(nil)
	_ store.TypeChecker = (*Serializer)(nil)
)

// Options of a [Serializer]. The zero value of each field is its default.
type Options struct {
	// Types are the types it knows. Default: none.
	Types *Types
	// Formats are others that events may have been written in: what a Store used before, or another program uses. They
	// are decoded, not encoded.
	Formats []Format
	// Codings are applied to what is encoded, in this order. What was written without one, or with others of them, still
	// decodes.
	Codings []Coding
	// OnlyDecode are codings that events may have been written with. They are decoded, not encoded.
	OnlyDecode []Coding
}

// Serializer is a [store.Serializer] made of a format, a registry of types, and codings. It is safe for concurrent use.
type Serializer struct {
	format  Format
	types   *Types
	formats map[string]Format
	apply   []Coding
	codings map[string]Coding
}

// New returns a serializer that encodes in format. It panics if two formats, or two codings, have the same name, or one
// has a name that can't be: that is a mistake in the program.
func New(format Format, opts *Options) *Serializer {
	if opts == nil {
		opts = &Options{}
	}
	s := &Serializer{
		format: format, types: opts.Types, apply: opts.Codings,
		formats: map[string]Format{}, codings: map[string]Coding{},
	}
	for _, f := range append([]Format{format}, opts.Formats...) {
		if _, twice := s.formats[f.Name()]; twice || !isName(f.Name()) {
			panic(fmt.Sprintf("serializer: two formats are called %q, or it is no name", f.Name()))
		}
		s.formats[f.Name()] = f
	}
	for _, c := range append(append([]Coding{}, opts.Codings...), opts.OnlyDecode...) {
		if _, twice := s.codings[c.Name()]; twice || !isName(c.Name()) {
			panic(fmt.Sprintf("serializer: two codings are called %q, or it is no name", c.Name()))
		}
		s.codings[c.Name()] = c
	}
	return s
}

// ContentType returns what most events will have: that of the format, if there are no codings.
func (s *Serializer) ContentType() string {
	c := contentType{format: s.format.Name(), version: 1}
	for _, coding := range s.apply {
		c.codings = append(c.codings, coding.Name())
	}
	return c.String()
}

// TypeName implements [store.TypeNamer].
func (s *Serializer) TypeName(value any) (string, bool) {
	v, _, ok := s.types.of(value)
	return v.name, ok
}

// Encode implements [store.Serializer]. An event of a registered type may leave out its Type; giving it another type's
// name, or a value of an old version, is a [WrongTypeError]. Values of types that are not registered are encoded under any name,
// as version 1; for the data of an event, CheckData judges them first.
func (s *Serializer) Encode(eventType string, value any) ([]byte, string, error) {
	c := contentType{format: s.format.Name(), version: 1}
	if v, newest, ok := s.types.of(value); ok {
		if v.name != eventType || v.version != newest {
			return nil, "", &WrongTypeError{Type: eventType, Registered: v.name, Version: v.version, Newest: newest, Value: fmt.Sprintf("%T", value)}
		}
		c.version = v.version
	}
	data, err := s.format.Marshal(value)
	if err != nil {
		return nil, "", err
	}
	for _, coding := range s.apply {
		coded, applied, err := coding.Encode(Plain{EventType: eventType, Value: value, Data: data})
		if err != nil {
			return nil, "", err
		}
		if applied {
			data, c.codings = coded, append(c.codings, coding.Name())
		}
	}
	return data, c.String(), nil
}

// Decode implements [store.Serializer].
//
// Decoding into a *any makes a value of the newest version of the event's type, with the upcasters that lead there; if the
// type is not registered it is an [UnknownTypeError], so that reading an event of an unknown type is no error, decoding it
// is. If the type is registered, but nothing leads from the event's version to the newest, it is an [UnknownVersionError]. Data that can't be decrypted any more becomes a [Forgotten]. A failed decode leaves the any as it was.
//
// Decoding into a pointer to the newest type does the same. Decoding into any other pointer, be it to an old version's
// type, a map or a json.RawMessage, shows what is stored: the format alone decides what fits.
func (s *Serializer) Decode(eventType, contentType string, data []byte, into any) error {
	if target, ok := into.(*any); ok && target != nil {
		values, err := s.DecodeAll(eventType, contentType, data)
		if err != nil {
			return err
		}
		if len(values) != 1 {
			return &SplitError{Type: eventType, Values: len(values)}
		}
		*target = values[0]
		return nil
	}
	c, format, data, err := s.open(eventType, contentType, data)
	if err != nil {
		return err
	}
	to := reflect.ValueOf(into)
	if to.Kind() != reflect.Pointer || to.IsNil() || !s.upcasts(eventType, c.version, to.Type().Elem()) {
		return format.Unmarshal(data, into)
	}
	values, err := s.values(eventType, c.version, format, data)
	switch {
	case err != nil:
		return err
	case len(values) != 1:
		return &SplitError{Type: eventType, Values: len(values)}
	}
	value := reflect.ValueOf(values[0])
	if !value.Type().AssignableTo(to.Type().Elem()) {
		return format.Unmarshal(data, into)
	}
	to.Elem().Set(value)
	return nil
}

// DecodeAll implements [store.Upcaster].
func (s *Serializer) DecodeAll(eventType, contentType string, data []byte) ([]any, error) {
	c, format, data, err := s.open(eventType, contentType, data)
	var forgotten *ForgottenError
	if errors.As(err, &forgotten) {
		return []any{Forgotten{Type: eventType, Subject: forgotten.Subject}}, nil
	}
	if err != nil {
		return nil, err
	}
	return s.values(eventType, c.version, format, data)
}

// Open implements [store.Opener].
func (s *Serializer) Open(eventType, contentType string, data []byte) (plainType string, plain []byte, err error) {
	c, _, plain, err := s.open(eventType, contentType, data)
	c.codings = nil
	return c.String(), plain, err
}

// open undoes the codings.
func (s *Serializer) open(eventType, text string, data []byte) (contentType, Format, []byte, error) {
	c, ok := contentType{format: text, version: 1}, true
	if text != s.format.Name() {
		c, ok = parseContentType(text)
	}
	format := s.formats[c.format]
	if !ok || format == nil {
		return c, nil, nil, &store.ContentTypeError{ContentType: text}
	}
	for i := len(c.codings) - 1; i >= 0; i-- {
		coding := s.codings[c.codings[i]]
		if coding == nil {
			return c, nil, nil, &store.ContentTypeError{ContentType: text}
		}
		var err error
		if data, err = coding.Decode(eventType, data); err != nil {
			return c, nil, nil, err
		}
	}
	return c, format, data, nil
}

// upcasts reports whether an event's data becomes something else than is stored before it fits into typ.
func (s *Serializer) upcasts(eventType string, version int, typ reflect.Type) bool {
	stored, newest := s.types.goType(typeVersion{eventType, version})
	if newest == 0 || typ == stored && !s.types.hasStep(stored) {
		return false
	}
	_, registered := s.types.version(typ)
	return registered && typ != stored
}

// values decodes data of a version, and upcasts it.
func (s *Serializer) values(eventType string, version int, format Format, data []byte) ([]any, error) {
	v := typeVersion{eventType, version}
	for {
		typ, newest := s.types.goType(v)
		if typ != nil {
			value, err := unmarshal(format, data, typ)
			if err != nil {
				return nil, err
			}
			return s.types.newestOf(value)
		}
		if !s.types.knows(eventType) {
			return nil, &UnknownTypeError{Type: eventType}
		}
		upcast := s.types.rawStep(v)
		if upcast == nil {
			return nil, &UnknownVersionError{Type: eventType, Version: v.version, Newest: newest}
		}
		newer, err := called(upcast, data)
		if err != nil {
			return nil, &UpcastError{Type: v.name, Version: v.version, Err: err}
		}
		data = newer
		v.version++
	}
}

// unmarshal returns a new value of a type: for a pointer type what it points to is made, too.
func unmarshal(format Format, data []byte, typ reflect.Type) (any, error) {
	if typ.Kind() == reflect.Pointer {
		value := reflect.New(typ.Elem())
		err := format.Unmarshal(data, value.Interface())
		return value.Interface(), err
	}
	value := reflect.New(typ)
	err := format.Unmarshal(data, value.Interface())
	return value.Elem().Interface(), err
}
