package delivery_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/history"
	"github.com/eventstore-go/eventstore/internal/history/delivery"
)

// good is a history that breaks no rule. Six events:
//
//	position  1  2  3  4  5  6
//	event     a1 b1 a2 a3 b2 c1
//
// P runs "one" in epoch 1, is paused with a2 in flight, and finds that Q has taken epoch 2 meanwhile; when Q gives
// the lease up, P goes on in epoch 3. R runs "lanes" with two subscribers.
func good() *delivery.History {
	e := seen("a1", "b1", "a2", "a3", "b2", "c1")
	row := func(process string, epoch, checkpoint, at, until int64) delivery.Row {
		return delivery.Row{Subscription: "one", Process: process, Owner: "store of " + process, Epoch: epoch, Checkpoint: checkpoint, At: at, Until: until}
	}
	lanes := func(checkpoint, at int64) delivery.Row {
		return delivery.Row{Subscription: "lanes", Process: "R", Owner: "store of R", Epoch: 7, Checkpoint: checkpoint, At: at, Until: at + 100}
	}
	return &delivery.History{
		Subscriptions: []delivery.Subscription{{Name: "one"}, {Name: "lanes", Lanes: true}},
		Writes: []history.Write{
			{Kind: history.Append, Stream: "a", IDs: []string{"a1"}, First: 1, Outcome: history.Committed},
			{Kind: history.Append, Stream: "b", IDs: []string{"b1"}, First: 1, Outcome: history.Committed},
			{Kind: history.Append, Stream: "a", IDs: []string{"a2", "a3"}, First: 2, Outcome: history.Committed},
			{Kind: history.Append, Stream: "x", IDs: []string{"x1"}, Outcome: history.Refused},
			{Kind: history.Append, Stream: "b", IDs: []string{"b2"}, Outcome: history.Unknown},
			{Kind: history.Append, Stream: "y", IDs: []string{"y1"}, Outcome: history.Unknown},
			{Kind: history.Append, Stream: "c", IDs: []string{"c1"}, First: 1, Outcome: history.Committed},
		},
		Stored: slices.Clone(e),
		Rows: []delivery.Row{
			row("P", 1, 0, 10, 110), row("P", 1, 0, 50, 150), row("P", 1, 2, 60, 150),
			row("Q", 2, 2, 160, 260), row("Q", 2, 4, 170, 260), row("Q", 2, 4, 180, 0),
			row("P", 3, 4, 181, 281), row("P", 3, 6, 200, 281),
			lanes(0, 20), lanes(6, 90),
		},
		Consumers: []delivery.Consumer{
			{Process: "P", Lines: took("one", []delivery.Line{
				one(delivery.Line{Kind: delivery.Sent, From: 0, To: 1, Events: e[:3]}), // 0
				one(delivery.Line{Kind: delivery.Ack, Number: 2}),
				one(delivery.Line{Kind: delivery.Save, Epoch: 1, Number: 2}), // 2
				one(delivery.Line{Kind: delivery.Saved, Epoch: 1, Number: 2}),
				one(delivery.Line{Kind: delivery.Ack, Number: 3}), // 4
				one(delivery.Line{Kind: delivery.Save, Epoch: 1, Number: 3}),
				one(delivery.Line{Kind: delivery.Saved, Epoch: 1, Number: 3, Err: "the lease is lost"}), // 6
				one(delivery.Line{Kind: delivery.Lost}),
				one(delivery.Line{Kind: delivery.Sent, From: 1, To: 3, Events: e[4:]}), // 8
				one(delivery.Line{Kind: delivery.Ack, Number: 6}),
				one(delivery.Line{Kind: delivery.Save, Epoch: 3, Number: 6}), // 10
				one(delivery.Line{Kind: delivery.Saved, Epoch: 3, Number: 6}),
			}, 1, 3)},
			{Process: "Q", Lines: took("one", []delivery.Line{
				one(delivery.Line{Kind: delivery.Sent, From: 0, To: 2, Events: e[2:4]}),
				one(delivery.Line{Kind: delivery.Ack, Number: 4}),
				one(delivery.Line{Kind: delivery.Save, Epoch: 2, Number: 4}),
				one(delivery.Line{Kind: delivery.Saved, Epoch: 2, Number: 4}),
			}, 2)},
			{Process: "R", Lines: took("lanes", []delivery.Line{
				lane(1, delivery.Line{Kind: delivery.Sent, From: 0, To: 7, Events: []history.Seen{e[0], e[2]}}), // 0
				lane(2, delivery.Line{Kind: delivery.Sent, From: 0, To: 7, Events: []history.Seen{e[1], e[4]}}),
				lane(1, delivery.Line{Kind: delivery.Ack, Number: 3}), // 2
				lane(2, delivery.Line{Kind: delivery.Sent, From: 7, To: 7, Events: []history.Seen{e[3]}}),
				lane(2, delivery.Line{Kind: delivery.Ack, Number: 4}), // 4
				lane(1, delivery.Line{Kind: delivery.Sent, From: 7, To: 7, Events: []history.Seen{e[5]}}),
				lane(1, delivery.Line{Kind: delivery.Ack, Number: 6}), // 6
				lane(0, delivery.Line{Kind: delivery.Save, Epoch: 7, Number: 6}),
				lane(0, delivery.Line{Kind: delivery.Saved, Epoch: 7, Number: 6}), // 8
			}, 7)},
		},
	}
}

// took adds that the process was told of epochs: where, does not matter.
func took(subscription string, lines []delivery.Line, epochs ...int64) []delivery.Line {
	for _, e := range epochs {
		lines = append(lines, delivery.Line{Kind: delivery.Took, Subscription: subscription, Epoch: e})
	}
	return lines
}

// one makes a line of the only subscriber of "one".
func one(l delivery.Line) delivery.Line {
	l.Subscription, l.Subscriber = "one", 1
	return l
}

// lane makes a line of one of the subscribers of "lanes".
func lane(subscriber int, l delivery.Line) delivery.Line {
	l.Subscription, l.Subscriber = "lanes", subscriber
	return l
}

// seen makes events of ids: a stream's name and a version. Positions count from 1.
func seen(ids ...string) []history.Seen {
	list := make([]history.Seen, len(ids))
	for i, id := range ids {
		list[i] = history.Seen{Position: int64(i) + 1, ID: id, Stream: id[:1], Version: int64(id[1] - '0')}
	}
	return list
}

func TestGoodHistoryPasses(t *testing.T) {
	t.Parallel()
	require.Empty(t, good().Check())
}

// ambiguous is a history of which P took epochs 1 to 3, and was told of some. Its subscribers shared what there is, and asked
// for it before the first.
func ambiguous(told ...int64) *delivery.History {
	e := seen("a1", "b1", "a2", "b2")
	row := func(epoch, checkpoint int64) delivery.Row {
		return delivery.Row{Subscription: "lanes", Process: "P", Owner: "store of P", Epoch: epoch, Checkpoint: checkpoint}
	}
	return &delivery.History{
		Subscriptions: []delivery.Subscription{{Name: "lanes", Lanes: true}},
		Stored:        e,
		Rows:          []delivery.Row{row(1, 0), row(2, 0), row(3, 0), row(3, 4)},
		Consumers: []delivery.Consumer{{Process: "P", Lines: took("lanes", []delivery.Line{
			lane(1, delivery.Line{Kind: delivery.Sent, From: 0, To: 3, Events: []history.Seen{e[0], e[2]}}), // 0
			lane(2, delivery.Line{Kind: delivery.Sent, From: 0, To: 3, Events: []history.Seen{e[1], e[3]}}),
			lane(1, delivery.Line{Kind: delivery.Ack, Number: 3}), // 2
			lane(2, delivery.Line{Kind: delivery.Ack, Number: 4}),
			lane(0, delivery.Line{Kind: delivery.Save, Epoch: 3, Number: 4}), // 4
			lane(0, delivery.Line{Kind: delivery.Saved, Epoch: 3, Number: 4}),
		}, told...)}},
	}
}

func TestEpochsThatAreNotKnown(t *testing.T) {
	t.Parallel()
	// again has what the first subscriber was sent void, and sent to the second one.
	again := func(h *delivery.History) *delivery.History {
		lines := h.Consumers[0].Lines
		sent := lane(2, delivery.Line{Kind: delivery.Sent, From: 3, To: 3, Events: lines[0].Events})
		done := lane(2, delivery.Line{Kind: delivery.Ack, Number: 3})
		h.Consumers[0].Lines = slices.Insert(slices.Delete(lines, 2, 3), 2, sent, done)
		return h
	}
	t.Run("all in the last one", func(t *testing.T) {
		t.Parallel()
		require.Empty(t, ambiguous(1, 2, 3).Check())
		require.Empty(t, ambiguous(3).Check())
	})
	t.Run("each in another one", func(t *testing.T) {
		t.Parallel()
		require.Empty(t, again(ambiguous(1, 2, 3)).Check())
	})
	t.Run("in one that nobody was told of", func(t *testing.T) {
		t.Parallel()
		require.Contains(t, texts(again(ambiguous(3)).Check()), `once: P was sent a1 (a@1) at 1 twice in epoch 3 of "lanes"`)
	})
	t.Run("in none of them", func(t *testing.T) {
		t.Parallel()
		h := ambiguous(1, 2, 3)
		h.Consumers[0].Lines = slices.Delete(h.Consumers[0].Lines, 3, 4)
		require.Equal(t, []string{
			`earned: P saved checkpoint 4 of "lanes" in epoch 3, but had not acknowledged b1 (b@1) at 2`,
			`earned: P saved checkpoint 4 of "lanes" in epoch 3, but had not acknowledged b2 (b@2) at 4`,
		}, texts(h.Check()))
	})
}

func TestBadHistoriesAreRefused(t *testing.T) {
	t.Parallel()
	const p, q, r = 0, 1, 2
	without := func(h *delivery.History, consumer int, lines ...int) {
		c := &h.Consumers[consumer]
		for _, i := range slices.Backward(lines) {
			c.Lines = slices.Delete(c.Lines, i, i+1)
		}
	}
	for _, test := range []struct {
		name  string
		spoil func(h *delivery.History)
		want  string // one of the violations
	}{
		{"acknowledged append is lost", func(h *delivery.History) {
			h.Writes = append(h.Writes, history.Write{Kind: history.Append, Stream: "z", IDs: []string{"z1"}, Outcome: history.Committed})
		}, `delivered: the append of z1 to "z" was acknowledged, but the store has it not`},
		{"event is delivered to nobody", func(h *delivery.History) {
			without(h, p, 8, 9)
		}, `delivered: c1 (c@1) at 6 was never delivered to "one"`},
		{"event is delivered to another subscription only", func(h *delivery.History) {
			without(h, r, 5, 6)
		}, `delivered: c1 (c@1) at 6 was never delivered to "lanes"`},
		{"event of an append of unknown outcome is there, but not delivered", func(h *delivery.History) {
			h.Stored = append(h.Stored, history.Seen{Position: 7, ID: "y1", Stream: "y", Version: 1})
		}, `delivered: y1 (y@1) at 7 was never delivered to "one"`},
		{"refused append is there", func(h *delivery.History) {
			h.Writes[0].Outcome = history.Refused
		}, "authentic: a1 (a@1) at 1 is there, but its append was refused"},
		{"event from nowhere", func(h *delivery.History) {
			h.Consumers[p].Lines[8].Events = append(slices.Clone(h.Consumers[p].Lines[8].Events), history.Seen{Position: 7, ID: "x1", Stream: "x", Version: 1})
		}, "authentic: P was sent x1 (x@1) at 7, which is not what the store holds"},
		{"event at another position", func(h *delivery.History) {
			h.Stored[5].Position = 7
		}, "authentic: P was sent c1 (c@1) at 6, which is not what the store holds"},
		{"positions out of order", func(h *delivery.History) {
			h.Consumers[q].Lines[0].Events = []history.Seen{h.Stored[3], h.Stored[2]}
		}, `ordered: Q was sent a2 (a@2) at 3 behind 4 in epoch 2 of "one"`},
		{"versions out of order", func(h *delivery.History) {
			h.Consumers[r].Lines[0].Events = []history.Seen{h.Stored[2], h.Stored[0]}
		}, `ordered: R was sent a1 (a@1) at 1 behind version 2 in epoch 7 of "lanes"`},
		{"versions out of order between subscribers", func(h *delivery.History) {
			l := h.Consumers[r].Lines
			l[0], l[2], l[3] = l[3], lane(2, delivery.Line{Kind: delivery.Ack, Number: 4}), l[0]
		}, `ordered: R was sent a1 (a@1) at 1 behind version 3 in epoch 7 of "lanes"`},
		{"event is left out", func(h *delivery.History) {
			h.Consumers[p].Lines[0].Events = []history.Seen{h.Stored[0], h.Stored[2]}
		}, `gapless: P was sent a2 (a@2) at 3 behind 1 in epoch 1 of "one", and not b1 (b@1) at 2`},
		{"epoch begins too late", func(h *delivery.History) {
			h.Consumers[p].Lines[8].Events = h.Stored[5:]
		}, `gapless: P was sent c1 (c@1) at 6 behind 4 in epoch 3 of "one", and not b2 (b@2) at 5`},
		{"version is left out", func(h *delivery.History) {
			h.Consumers[r].Lines[0].Events = h.Stored[:1]
		}, `gapless: R was sent a3 (a@3) at 4 behind version 1 in epoch 7 of "lanes"`},
		{"epoch begins below the checkpoint", func(h *delivery.History) {
			h.Consumers[p].Lines[8].Events = h.Stored[3:]
		}, `once: P was sent a3 (a@3) at 4 in epoch 3 of "one", which began behind 4`},
		{"event comes twice", func(h *delivery.History) {
			h.Consumers[q].Lines[0].Events = []history.Seen{h.Stored[2], h.Stored[2], h.Stored[3]}
		}, `once: Q was sent a2 (a@2) at 3 twice in epoch 2 of "one"`},
		{"event comes to two subscribers", func(h *delivery.History) {
			h.Consumers[r].Lines[3] = lane(2, delivery.Line{Kind: delivery.Sent, From: 7, To: 7, Events: h.Stored[2:4]})
		}, `once: R was sent a2 (a@2) at 3 twice in epoch 7 of "lanes"`},
		{"stream is at two subscribers", func(h *delivery.History) {
			without(h, r, 2)
		}, `apart: R was sent a3 (a@3) at 4 while subscriber 1 had events of the stream, in epoch 7 of "lanes"`},
		{"stream is at two subscribers, one has acknowledged a part", func(h *delivery.History) {
			h.Consumers[r].Lines[2].Number = 1
		}, `apart: R was sent a3 (a@3) at 4 while subscriber 1 had events of the stream, in epoch 7 of "lanes"`},
		{"checkpoint passes an event in flight", func(h *delivery.History) {
			h.Consumers[p].Lines[2].Number = 3
		}, `earned: P saved checkpoint 3 of "one" in epoch 1, but had not acknowledged a2 (a@2) at 3`},
		{"checkpoint passes an event that another subscriber has in flight", func(h *delivery.History) {
			l := h.Consumers[r].Lines
			l[3], l[4], l[5], l[6], l[7], l[8] = l[5], l[6], l[7], l[8], l[3], l[4]
		}, `earned: R saved checkpoint 6 of "lanes" in epoch 7, but had not acknowledged b1 (b@1) at 2`},
		{"checkpoint passes an event that was acknowledged in an earlier epoch only", func(h *delivery.History) {
			h.Consumers[q].Lines[0].Events = h.Stored[2:3]
			h.Consumers[q].Lines[1].Number = 3
		}, `earned: Q saved checkpoint 4 of "one" in epoch 2, but had not acknowledged a3 (a@3) at 4`},
		{"checkpoint of an earlier epoch", func(h *delivery.History) {
			late := h.Rows[2]
			late.Epoch, late.Checkpoint, late.At = 2, 3, 175
			h.Rows = slices.Insert(h.Rows, 5, late)
		}, `fenced: checkpoint 3 of "one" in epoch 2 by P was written in an epoch that Q took`},
		{"renewal by somebody else", func(h *delivery.History) {
			h.Rows[1].Owner = "store of Q"
		}, `fenced: checkpoint 0 of "one" in epoch 1 by P was written for the owner store of Q, but store of P took the epoch`},
		{"epoch goes back", func(h *delivery.History) {
			h.Rows[4].Epoch = 1
		}, `fenced: checkpoint 4 of "one" in epoch 1 by Q was written in epoch 2`},
		{"checkpoint goes back", func(h *delivery.History) {
			h.Rows[7].Checkpoint = 3
		}, `forward: checkpoint 3 of "one" in epoch 3 by P was written behind 4`},
		{"lease is taken too early", func(h *delivery.History) {
			h.Rows[3].At = 149
		}, `leased: Q took epoch 2 of "one", but the lease of P lasted 1 µs more`},
		{"delivery without a lease", func(h *delivery.History) {
			h.Rows = slices.Delete(h.Rows, 3, 6)
		}, `leased: Q sent a2 (a@2) at 3 to subscriber 1 of "one" without a lease`},
		{"delivery in an epoch that is known to be lost", func(h *delivery.History) {
			h.Consumers[p].Lines[8].To = 1
		}, `leased: P sent b2 (b@2) at 5 to subscriber 1 of "one" without a lease`},
		{"checkpoint without a lease", func(h *delivery.History) {
			h.Consumers[q].Lines[2].Epoch = 3
		}, `leased: Q saved checkpoint 4 of "one" in epoch 3, which it never took`},
		{"checkpoint is forgotten", func(h *delivery.History) {
			h.Rows[7].Checkpoint = 5
		}, `durable: P was told that checkpoint 6 of "one" is written in epoch 3, which it is not`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := good()
			test.spoil(h)
			var found []string
			for _, v := range h.Check() {
				found = append(found, v.String())
			}
			assert.Contains(t, found, test.want)
		})
	}
}
