package history

import (
	"cmp"
	"math"
	"slices"
)

// checkReaders follows each reader through its pages.
func (c *checker) checkReaders() {
	committed := c.committedBefore()
	last := map[string]int64{}
	for i := range c.h.Pages {
		p := &c.h.Pages[i]
		if p.After != last[p.Reader] {
			panic("history: pages of " + p.Reader + " don't follow each other")
		}
		last[p.Reader] = p.last()
		c.checkPage(p)
		if p.End {
			if s := committed(p.Began); s.Position > p.last() {
				c.violated("P4", "%s read to its end, %d, but %s had been committed before", p.Reader, p.last(), s)
			}
		}
	}
}

// checkPage checks that the page has all that is between where it begins and where it ends.
func (c *checker) checkPage(p *Page) {
	has := map[int64]bool{}
	at := p.After
	for _, s := range p.Events {
		if s.Position <= at {
			c.violated("P5", "%s saw %s behind %d", p.Reader, s, at)
		}
		at = s.Position
		has[s.Position] = true
		if d := c.deletedBefore(s, p.Began); d != nil {
			c.violated("P1", "%s saw %s after its stream was deleted", p.Reader, s)
		}
	}
	from, _ := slices.BinarySearch(c.order, p.After+1)
	for _, position := range c.order[from:] {
		if position > p.last() {
			break
		}
		if s := c.at[position]; !has[position] && !c.goneBefore(s, p.Ended) {
			c.violated("P4", "%s read from %d to %d and missed %s", p.Reader, p.After, p.last(), s)
		}
	}
}

// goneBefore reports whether the event is gone, and may have been by then.
func (c *checker) goneBefore(s Seen, clock int64) bool {
	a, known := c.appends[s.ID]
	return !c.final[s.ID] && known && slices.ContainsFunc(c.deletes[s.Stream], func(d *Write) bool {
		return (d.Ended == 0 || d.Ended >= a.write.Began) && d.Began < clock
	})
}

// deletedBefore returns the delete that had certainly removed the event by then, or nil.
func (c *checker) deletedBefore(s Seen, clock int64) *Write {
	a, known := c.appends[s.ID]
	if !known || a.write.Ended == 0 {
		return nil
	}
	for _, d := range c.deletes[s.Stream] {
		if d.Outcome == Committed && d.Began > a.write.Ended && d.Ended < clock {
			return d
		}
	}
	return nil
}

// committedBefore returns a function that tells which is the last event, in the global order, of those whose append had
// been acknowledged before a time and which are still there.
func (c *checker) committedBefore() func(clock int64) Seen {
	type step struct {
		ended int64
		last  Seen
	}
	var steps []step
	for i := range c.h.Writes {
		w := &c.h.Writes[i]
		if w.Kind == Append && w.Outcome == Committed && c.final[w.IDs[len(w.IDs)-1]] {
			steps = append(steps, step{w.Ended, c.at[c.position[w.IDs[len(w.IDs)-1]]]})
		}
	}
	slices.SortFunc(steps, func(x, y step) int { return cmp.Compare(x.ended, y.ended) })
	for i := range steps {
		if i > 0 && steps[i-1].last.Position > steps[i].last.Position {
			steps[i].last = steps[i-1].last
		}
	}
	return func(clock int64) Seen {
		i, _ := slices.BinarySearchFunc(steps, clock, func(s step, clock int64) int { return cmp.Compare(s.ended, clock) })
		if i == 0 {
			return Seen{}
		}
		return steps[i-1].last
	}
}

// checkOrder checks the global order.
func (c *checker) checkOrder() {
	before := map[string]Seen{}
	for _, position := range c.order {
		s := c.at[position]
		// Behind the last event of a stream that was deleted, versions begin anew.
		if b, ok := before[s.Stream]; ok && b.Version >= s.Version && (c.final[b.ID] || len(c.deletes[s.Stream]) == 0) {
			c.violated("P5", "%s comes before %s", b, s)
		}
		before[s.Stream] = s
	}
	for i := range c.h.Writes {
		w := &c.h.Writes[i]
		for i := 1; w.Kind == Append && i < len(w.IDs); i++ {
			x, seenX := c.position[w.IDs[i-1]]
			y, seenY := c.position[w.IDs[i]]
			if seenX && seenY && y != x+1 {
				c.violated("P5", "%s and %s are of one append, but not adjacent", c.at[x], c.at[y])
			}
		}
	}
	// From the end: no append may have been acknowledged before one that comes before it began.
	earliest, which := int64(math.MaxInt64), ""
	for _, position := range slices.Backward(c.order) {
		s := c.at[position]
		a, known := c.appends[s.ID]
		if !known {
			continue
		}
		if a.write.Began > earliest {
			c.violated("P5", "%s comes before %s, but began after that was acknowledged", s, which)
		}
		if a.write.Outcome == Committed && a.write.Ended < earliest {
			earliest, which = a.write.Ended, s.String()
		}
	}
}
