package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
	"github.com/eventstore-go/eventstore/store/aggregate"
)

// Case is one case of a command: given events, when something is decided, then events are appended or an error is returned.
//
//	storetest.Decider(t, serializer.JSON(types), Order.With).
//		Given(OrderPlaced{Cents: 1200}).
//		When(Order.Pay).
//		Then(OrderPaid{Cents: 1200})
//
// The events go through a real Store, so that a case also shows that they can be encoded and decoded. An error of When must be looked at by
// Then or ThenError, or the test fails. A Case is not safe for concurrent use.
type Case[S any] struct {
	tb     testing.TB
	es     *store.Store
	states *aggregate.Repository[S]
	stream string

	decided   bool
	appended  []store.Recorded
	err       error
	unchecked bool // nothing has looked at err
}

// Decider begins a case for a decider: a fold, and functions that decide on the folded state. The events are kept in memory, encoded by
// the serializer of the program, which must know their types, since the fold is given values of these: see [aggregate.Options].Fold.
func Decider[S any](tb testing.TB, s store.Serializer, fold func(state S, value any) (S, error)) *Case[S] {
	tb.Helper()
	es := Open(tb, memory.New(), &store.Options{Serializer: s})
	return Aggregate(tb, es, aggregate.New(es, &aggregate.Options[S]{Fold: fold}))
}

// Aggregate begins a case for a repository with the options of the program, on any Store. The events are appended to a new stream,
// "storetest-1" or the next one that is free.
func Aggregate[S any](tb testing.TB, es *store.Store, states *aggregate.Repository[S]) *Case[S] {
	tb.Helper()
	c := &Case[S]{tb: tb, es: es, states: states}
	for n := 1; c.stream == ""; n++ {
		name := fmt.Sprintf("storetest-%d", n)
		switch _, err := es.StreamInfo(tb.Context(), name); {
		case errors.Is(err, store.ErrStreamNotFound):
			c.stream = name
		case err != nil:
			tb.Fatalf("storetest: find a free stream: %v", err)
		}
	}
	tb.Cleanup(func() {
		if c.unchecked && !tb.Failed() {
			tb.Errorf("storetest: When returned an error that neither Then nor ThenError has looked at: %v", c.err)
		}
	})
	return c
}

// Stream returns the name of the stream that the case appends to.
func (c *Case[S]) Stream() string { return c.stream }

// Given appends events: each a store.Event, or the data of one if the serializer knows the name of its type.
func (c *Case[S]) Given(events ...any) *Case[S] {
	c.tb.Helper()
	if len(events) == 0 {
		return c
	}
	list := make([]store.Event, len(events))
	for i, e := range events {
		list[i] = eventOf(e)
	}
	if _, err := c.es.Append(c.tb.Context(), c.stream, store.Any, list...); err != nil {
		c.tb.Fatalf("storetest: Given: %v", err)
	}
	return c
}

// When lets decide make events of the state, and appends them, by [aggregate.Repository.Do].
func (c *Case[S]) When(decide func(state S) ([]store.Event, error)) *Case[S] {
	c.tb.Helper()
	if c.unchecked {
		c.tb.Fatalf("storetest: When returned an error that neither Then nor ThenError has looked at: %v", c.err)
	}
	res, err := c.states.Do(c.tb.Context(), c.stream, decide)
	c.decided, c.err, c.unchecked, c.appended = true, err, err != nil, nil
	if err != nil || res.Last < res.First {
		return c
	}
	for e, err := range c.es.Stream(c.tb.Context(), c.stream, &store.ReadOptions{From: res.First}) {
		if err != nil {
			c.tb.Fatalf("storetest: read what was appended: %v", err)
		}
		c.appended = append(c.appended, e)
	}
	return c
}

// Then fails the test unless When has appended these events and no others, in this order; without arguments, none. Each is a store.Event,
// or the data of one. Data are compared as values of their Go type, or by their JSON; of a store.Event, also Type, Metadata and the ids
// that are set.
func (c *Case[S]) Then(events ...any) *Case[S] {
	c.tb.Helper()
	c.mustHaveDecided("Then")
	c.unchecked = false
	if c.err != nil {
		c.tb.Fatalf("storetest: expected events, but the decision returned an error: %v", c.err)
	}
	if d := c.compare(events); d != "" {
		c.tb.Fatalf("storetest: other events were appended (- expected, + appended):\n%s", indent(d))
	}
	return c
}

// ThenError fails the test unless When has returned an error that is target, by errors.Is. Nothing was appended then.
func (c *Case[S]) ThenError(target error) *Case[S] {
	c.tb.Helper()
	c.mustHaveDecided("ThenError")
	c.unchecked = false
	switch {
	case c.err == nil && len(c.appended) == 0:
		c.tb.Fatalf("storetest: expected the error %q, but the decision returned none, and appended nothing", target)
	case c.err == nil:
		var appended strings.Builder
		for _, e := range c.appended {
			appended.WriteString("\n+ " + shown(e.Type, valueOf(e)))
		}
		c.tb.Fatalf("storetest: expected the error %q, but the decision returned none, and appended:%s", target, appended.String())
	case !errors.Is(c.err, target):
		c.tb.Fatalf("storetest: the decision returned another error\n- expected %v\n+ returned %v", target, c.err)
	}
	return c
}

// State returns the state that the events of the stream are folded into now.
func (c *Case[S]) State() S {
	c.tb.Helper()
	state, err := c.states.Load(c.tb.Context(), c.stream)
	if err != nil {
		c.tb.Fatalf("storetest: fold the events: %v", err)
	}
	return state.Value
}

func (c *Case[S]) mustHaveDecided(method string) {
	c.tb.Helper()
	if !c.decided {
		c.tb.Fatalf("storetest: %s is called before When", method)
	}
}

// compare returns how the events that were appended differ from those that are wanted, or "".
func (c *Case[S]) compare(events []any) string {
	var want, got strings.Builder
	for i := range max(len(events), len(c.appended)) {
		switch {
		case i >= len(events):
			got.WriteString(shown(c.appended[i].Type, valueOf(c.appended[i])) + "\n")
		case i >= len(c.appended):
			want.WriteString(wanted(events[i]) + "\n")
		default:
			w, g := pair(events[i], c.appended[i])
			want.WriteString(w + "\n")
			got.WriteString(g + "\n")
		}
	}
	return diff(want.String(), got.String())
}

// eventOf returns the event that an argument stands for.
func eventOf(e any) store.Event {
	switch e := e.(type) {
	case store.Event:
		return e
	case *store.Event:
		return *e
	}
	return store.Event{Data: e}
}

// valueOf returns the data of an event as a value: of its registered type, or what JSON or the serializer makes of it.
func valueOf(e store.Recorded) any {
	values, err := e.Values()
	switch {
	case err != nil:
		return e.Data
	case len(values) == 1:
		return values[0]
	}
	return values
}

// wanted returns an event that is wanted, as people read it.
func wanted(e any) string {
	w := eventOf(e)
	if w.Type == "" {
		return shown(typeName(w.Data), w.Data)
	}
	return shown(w.Type, w.Data)
}

// pair returns an event that is wanted, and the one in its place. The texts are the same if the events are.
func pair(e any, got store.Recorded) (want, have string) {
	w := eventOf(e)
	name := got.Type
	data, decodeErr := decodeLike(w.Data, got)
	if w.Type == "" {
		name = typeName(data)
	}
	if decodeErr != nil {
		return wanted(e), shown(got.Type, got.Data) + "\n  can't be decoded: " + decodeErr.Error()
	}
	want, have = wanted(e), shown(name, data)
	if want == have && !same(w.Data, data) {
		want, have = want+fmt.Sprintf("\n  %#v", deref(w.Data)), have+fmt.Sprintf("\n  %#v", deref(data))
	}
	if w.Metadata != nil {
		metadata := reflect.New(reflect.TypeOf(w.Metadata))
		if err := got.DecodeMetadata(metadata.Interface()); err != nil {
			return want + "\n  metadata " + jsonOf(w.Metadata), have + "\n  metadata can't be decoded: " + err.Error()
		}
		want, have = want+"\n  metadata "+jsonOf(w.Metadata), have+"\n  metadata "+jsonOf(metadata.Elem().Interface())
	}
	for _, id := range []struct {
		name       string
		want, have fmt.Stringer
		set        bool
	}{
		{"id", w.ID, got.ID, w.ID != [16]byte{}},
		{"causation", w.CausationID, got.CausationID, w.CausationID != [16]byte{}},
		{"correlation", w.CorrelationID, got.CorrelationID, w.CorrelationID != [16]byte{}},
	} {
		if id.set {
			want, have = want+"\n  "+id.name+" "+id.want.String(), have+"\n  "+id.name+" "+id.have.String()
		}
	}
	return want, have
}

// decodeLike returns the data of an event: as a value of the registered type if the serializer has one, else decoded into a value of
// the type of want.
func decodeLike(want any, e store.Recorded) (any, error) {
	values, err := e.Values()
	registered := err == nil && len(values) == 1
	if registered && reflect.TypeOf(deref(values[0])) == reflect.TypeOf(deref(want)) {
		return values[0], nil
	}
	if registered && named(values[0]) {
		return values[0], nil // of another type
	}
	if err == nil && len(values) != 1 {
		return values, nil
	}
	typ := reflect.TypeOf(want)
	if typ == nil {
		return valueOf(e), nil
	}
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	into := reflect.New(typ)
	if err := e.Decode(into.Interface()); err != nil {
		return nil, err
	}
	return into.Elem().Interface(), nil
}

// named reports whether a value is of a type that has a name and a package: not what encoding/json makes of anything.
func named(v any) bool {
	typ := reflect.TypeOf(deref(v))
	return typ != nil && typ.PkgPath() != ""
}
