package storetest_test

import (
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/store"
	"github.com/eventstore-go/eventstore/store/aggregate"
	"github.com/eventstore-go/eventstore/store/storetest"
)

type (
	Placed  struct{ Customer string }
	Paid    struct{ Cents int64 }
	Ordered struct{ Placed, Paid bool }
)

var errPaid = errors.New("paid already")

func (o Ordered) With(value any) (Ordered, error) {
	switch value.(type) {
	case Placed:
		o.Placed = true
	case Paid:
		o.Paid = true
	}
	return o, nil
}

// pay decides that an order is paid.
func pay(cents int64) func(Ordered) ([]store.Event, error) {
	return func(o Ordered) ([]store.Event, error) {
		if o.Paid {
			return nil, errPaid
		}
		return []store.Event{{Data: Paid{cents}, Metadata: map[string]string{"user": "ada"}}}, nil
	}
}

func nothing(Ordered) ([]store.Event, error) { return nil, nil }

func types() store.Serializer {
	t := serializer.NewTypes()
	serializer.Register[Placed](t, "order.placed")
	serializer.Register[Paid](t, "order.paid")
	return serializer.JSON(t)
}

func TestDecider(t *testing.T) {
	t.Parallel()
	c := storetest.Decider(t, types(), Ordered.With).
		Given(Placed{"ada"}).
		When(pay(1200)).
		Then(Paid{1200})
	assert.Equal(t, Ordered{Placed: true, Paid: true}, c.State())
	c.When(pay(1200)).ThenError(errPaid)
	c.When(nothing).Then()
	assert.Equal(t, "storetest-1", c.Stream())

	storetest.Decider(t, types(), Ordered.With).
		When(pay(7)).
		Then(store.Event{Type: "order.paid", Data: &Paid{7}, Metadata: map[string]string{"user": "ada"}})
}

// TestEventsWithTypes: where the type or an id matters, events are given whole.
func TestEventsWithTypes(t *testing.T) {
	t.Parallel()
	registry := serializer.NewTypes()
	serializer.Register[float64](registry, "counted")
	fold := func(n float64, value any) (float64, error) { return n + value.(float64), nil }
	cause := uuid.New()
	storetest.Decider(t, serializer.JSON(registry), fold).
		Given(store.Event{Type: "counted", Data: 3.0}, store.Event{Type: "counted", Data: 4.0}).
		When(func(n float64) ([]store.Event, error) {
			return []store.Event{{Type: "counted", Data: -n, CausationID: cause}}, nil
		}).
		Then(store.Event{Type: "counted", Data: -7.0, CausationID: cause})
	got := failures(t, func(tb testing.TB) { storetest.Decider(tb, nil, fold).Given(3.0) })
	assert.Contains(t, got, "storetest: Given: ")
	assert.Contains(t, got, "set Type")
}

// TestAggregate: two cases in one store have streams of their own, and use the repository of the program.
func TestAggregate(t *testing.T) {
	t.Parallel()
	es := storetest.Open(t, memory.New(), &store.Options{Serializer: types()})
	orders := aggregate.New(es, &aggregate.Options[Ordered]{Fold: Ordered.With, Type: "order/1", SnapshotEvery: 1})
	storetest.Aggregate(t, es, orders).Given(Placed{"ada"}).When(pay(1)).Then(Paid{1})
	second := storetest.Aggregate(t, es, orders).When(pay(2)).Then(Paid{2})
	assert.Equal(t, "storetest-2", second.Stream())
	_, err := es.ReadSnapshot(t.Context(), second.Stream())
	require.NoError(t, err)
}

// TestFailuresOfCases: a case that does not hold fails, with a difference that people can read.
func TestFailuresOfCases(t *testing.T) {
	t.Parallel()
	decider := func(tb testing.TB) *storetest.Case[Ordered] { return storetest.Decider(tb, types(), Ordered.With) }
	for name, test := range map[string]struct {
		run  func(tb testing.TB)
		want string
	}{
		"other data": {
			func(tb testing.TB) { decider(tb).When(pay(7)).Then(Paid{8}) },
			`storetest: other events were appended (- expected, + appended):
  - storetest_test.Paid {"Cents":8}
  + storetest_test.Paid {"Cents":7}`,
		},
		"other type": {
			func(tb testing.TB) { decider(tb).When(pay(7)).Then(Placed{"ada"}) },
			`storetest: other events were appended (- expected, + appended):
  - storetest_test.Placed {"Customer":"ada"}
  + storetest_test.Paid {"Cents":7}`,
		},
		"other name of the type": {
			func(tb testing.TB) { decider(tb).When(pay(7)).Then(store.Event{Type: "paid", Data: Paid{7}}) },
			`storetest: other events were appended (- expected, + appended):
  - paid {"Cents":7}
  + order.paid {"Cents":7}`,
		},
		"other metadata": {
			func(tb testing.TB) {
				decider(tb).When(pay(7)).Then(store.Event{Data: Paid{7}, Metadata: map[string]string{"user": "bob"}})
			},
			`storetest: other events were appended (- expected, + appended):
    storetest_test.Paid {"Cents":7}
  -   metadata {"user":"bob"}
  +   metadata {"user":"ada"}`,
		},
		"other cause": {
			func(tb testing.TB) {
				decider(tb).When(pay(7)).Then(store.Event{Data: Paid{7}, CausationID: storetest.ID(1)})
			},
			`storetest: other events were appended (- expected, + appended):
    storetest_test.Paid {"Cents":7}
  -   causation 00000000-0000-7000-8000-000000000001
  +   causation 00000000-0000-0000-0000-000000000000`,
		},
		"one too many": {
			func(tb testing.TB) { decider(tb).When(pay(7)).Then() },
			`storetest: other events were appended (- expected, + appended):
  + order.paid {"Cents":7}`,
		},
		"one too few": {
			func(tb testing.TB) { decider(tb).When(pay(7)).Then(Paid{7}, store.Event{Type: "order.sent"}) },
			`storetest: other events were appended (- expected, + appended):
    storetest_test.Paid {"Cents":7}
  - order.sent null`,
		},
		"an error in place of events": {
			func(tb testing.TB) { decider(tb).Given(Paid{1}).When(pay(7)).Then(Paid{7}) },
			`storetest: expected events, but the decision returned an error: paid already`,
		},
		"events in place of an error": {
			func(tb testing.TB) { decider(tb).When(pay(7)).ThenError(errPaid) },
			`storetest: expected the error "paid already", but the decision returned none, and appended:
+ order.paid {"Cents":7}`,
		},
		"nothing in place of an error": {
			func(tb testing.TB) { decider(tb).When(nothing).ThenError(errPaid) },
			`storetest: expected the error "paid already", but the decision returned none, and appended nothing`,
		},
		"another error": {
			func(tb testing.TB) { decider(tb).Given(Paid{1}).When(pay(7)).ThenError(store.ErrInvalid) },
			"storetest: the decision returned another error\n- expected " + store.ErrInvalid.Error() + "\n+ returned paid already",
		},
		"an error that is not looked at": {
			func(tb testing.TB) { decider(tb).Given(Paid{1}).When(pay(7)) },
			`storetest: When returned an error that neither Then nor ThenError has looked at: paid already`,
		},
		"an error that the next When hides": {
			func(tb testing.TB) { decider(tb).Given(Paid{1}).When(pay(7)).When(nothing).Then() },
			`storetest: When returned an error that neither Then nor ThenError has looked at: paid already`,
		},
		"Then before When": {
			func(tb testing.TB) { decider(tb).Given(Paid{1}).Then() },
			`storetest: Then is called before When`,
		},
		"ThenError before When": {
			func(tb testing.TB) { decider(tb).ThenError(errPaid) },
			`storetest: ThenError is called before When`,
		},
		"a fold that fails": {
			func(tb testing.TB) {
				storetest.Decider(tb, types(), func(int, any) (int, error) { return 0, errPaid }).Given(Paid{1}).State()
			},
			`storetest: fold the events: aggregate: event 1 of "storetest-1": paid already`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, test.want, failures(t, test.run))
		})
	}
}
