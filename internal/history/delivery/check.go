package delivery

import (
	"fmt"

	"github.com/eventstore-go/eventstore/internal/history"
)

// Check returns what in the history breaks a rule; nil if nothing does.
//
// An epoch of a subscription begins with the row that first has it, whose process took it. Deliveries belong to the epoch
// that the process was in. Where it can have been one of several, since it took the lease while a subscriber waited, it is one
// in which they break no rule, if one is found by moving them one by one or all together.
func (h *History) Check() []Violation {
	c := &checker{h: h, places: map[int64]int{}, ids: map[string]bool{}, epochs: map[string]map[int64]*epoch{}, sent: map[string]map[int64]bool{}}
	for i, s := range h.Stored {
		c.places[s.Position], c.ids[s.ID] = i, true
	}
	for _, s := range h.Subscriptions {
		c.epochs[s.Name], c.sent[s.Name] = map[int64]*epoch{}, map[int64]bool{}
	}
	c.checkRows()
	for _, consumer := range h.Consumers {
		for _, s := range h.Subscriptions {
			c.checkConsumer(consumer, s)
		}
	}
	c.checkDelivered()
	return c.found
}

// checker is one check on its way.
type checker struct {
	h     *History
	found []Violation

	places map[int64]int               // in h.Stored, by position
	ids    map[string]bool             // of h.Stored
	epochs map[string]map[int64]*epoch // of each subscription
	sent   map[string]map[int64]bool   // what was ever delivered of each subscription, by position
}

// epoch is one epoch as the rows tell it.
type epoch struct {
	number     int64
	process    string // that took it
	owner      string
	start      int64 // the checkpoint that it began with
	checkpoint int64 // and the highest one written in it
}

func (c *checker) violated(rule Rule, format string, args ...any) {
	c.found = append(c.found, Violation{rule, fmt.Sprintf(format, args...)})
}

// checkRows follows the rows of each subscription.
func (c *checker) checkRows() {
	last := map[string]Row{}
	for _, row := range c.h.Rows {
		before, known := last[row.Subscription]
		last[row.Subscription] = row
		epochs := c.epochs[row.Subscription]
		e := epochs[row.Epoch]
		switch {
		case known && row.Epoch < before.Epoch:
			c.violated(Fenced, "%s was written in epoch %d", row, before.Epoch)
		case e == nil:
			if known && before.Owner != row.Owner && before.Until > row.At {
				c.violated(Leased, "%s took epoch %d of %q, but the lease of %s lasted %d µs more",
					row.Process, row.Epoch, row.Subscription, before.Process, before.Until-row.At)
			}
			e = &epoch{number: row.Epoch, process: row.Process, owner: row.Owner, start: row.Checkpoint}
			epochs[row.Epoch] = e
		case row.Process != e.process:
			c.violated(Fenced, "%s was written in an epoch that %s took", row, e.process)
		case row.Owner != e.owner:
			c.violated(Fenced, "%s was written for the owner %s, but %s took the epoch", row, row.Owner, e.owner)
		}
		e.checkpoint = max(e.checkpoint, row.Checkpoint)
		if known && row.Checkpoint < before.Checkpoint {
			c.violated(Forward, "%s was written behind %d", row, before.Checkpoint)
		}
	}
}

// checkDelivered checks that every event was delivered, and that what was acknowledged to writers is there.
func (c *checker) checkDelivered() {
	refused := map[string]bool{}
	for i := range c.h.Writes {
		w := &c.h.Writes[i]
		for _, id := range w.IDs {
			switch {
			case w.Outcome == history.Refused:
				refused[id] = true
			case w.Outcome == history.Committed && !c.ids[id]:
				c.violated(Delivered, "the append of %s to %q was acknowledged, but the store has it not", id, w.Stream)
			}
		}
	}
	for _, s := range c.h.Stored {
		if refused[s.ID] {
			c.violated(Authentic, "%s is there, but its append was refused", s)
		}
	}
	for _, subscription := range c.h.Subscriptions {
		for _, s := range c.h.Stored {
			if !c.sent[subscription.Name][s.Position] {
				c.violated(Delivered, "%s was never delivered to %q", s, subscription.Name)
			}
		}
	}
}
