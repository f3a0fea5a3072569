package history

import (
	"fmt"
	"maps"
	"slices"
)

// Violation is a promise that was broken.
type Violation struct {
	Promise string // P1 to P5
	What    string
}

func (v Violation) String() string { return v.Promise + ": " + v.What }

// Check returns what in the history breaks a promise; nil if nothing does.
//
//   - P1: an append is there whole or not at all; acknowledged ones are there once, with the versions that were
//     acknowledged; refused ones are not; a hard delete leaves nothing.
//   - P2: versions in a stream have no gaps, but for linked events that were deleted.
//   - P3: positions have no gaps, but for deleted events; none ever had two events, and no event two positions.
//   - P4: no reader passed an event that came to be below where it had read to, and none stopped before an event that
//     had been committed when it asked.
//   - P5: in the global order a stream's events are in the order of their versions, those of one append are adjacent,
//     and an append that began after another was acknowledged comes behind it.
func (h *History) Check() []Violation {
	c := &checker{
		h:       h,
		appends: map[string]place{}, deletes: map[string][]*Write{},
		at: map[int64]Seen{}, position: map[string]int64{}, final: map[string]bool{},
	}
	c.index()
	c.checkSightings()
	c.checkWrites()
	c.checkStreams()
	c.checkPositions()
	c.checkReaders()
	c.checkOrder()
	return c.found
}

// checker is one check on its way.
type checker struct {
	h     *History
	found []Violation

	appends map[string]place    // by event
	deletes map[string][]*Write // those that may have happened, by stream

	at       map[int64]Seen   // all that was ever seen, by position
	position map[string]int64 // where each event was seen
	order    []int64          // the keys of at, in order
	final    map[string]bool  // whether the event is there in the end
}

// place says that an event is the one with the index i of an append.
type place struct {
	write *Write
	i     int
}

func (c *checker) violated(promise, format string, args ...any) {
	c.found = append(c.found, Violation{promise, fmt.Sprintf(format, args...)})
}

func (c *checker) index() {
	for i := range c.h.Writes {
		w := &c.h.Writes[i]
		switch {
		case w.Kind == Delete && w.happened():
			c.deletes[w.Stream] = append(c.deletes[w.Stream], w)
		case w.Kind == Append:
			for i, id := range w.IDs {
				if _, twice := c.appends[id]; twice {
					panic("history: two appends of " + id)
				}
				c.appends[id] = place{w, i}
			}
		}
	}
	for _, s := range c.h.Final {
		c.final[s.ID] = true
	}
}

// checkSightings puts together what readers saw: all must agree.
func (c *checker) checkSightings() {
	see := func(who string, s Seen) {
		if old, ok := c.at[s.Position]; ok && old != s {
			c.violated("P3", "%s saw %s, others saw %s there", who, s, old)
			return
		}
		if old, ok := c.position[s.ID]; ok && old != s.Position {
			c.violated("P3", "%s saw %s, which others saw at %d", who, s, old)
			return
		}
		c.at[s.Position], c.position[s.ID] = s, s.Position
	}
	for _, s := range c.h.Final {
		see("the last look", s)
	}
	for _, p := range c.h.Pages {
		for _, s := range p.Events {
			see(p.Reader, s)
		}
	}
	c.order = slices.Sorted(maps.Keys(c.at))
	for _, position := range c.order {
		s := c.at[position]
		a, known := c.appends[s.ID]
		switch {
		case !known || a.write.Stream != s.Stream:
			c.violated("P1", "%s was never appended", s)
		case !a.write.happened():
			c.violated("P1", "%s is there, but its append was refused", s)
		case a.write.First > 0 && a.write.First+int64(a.i) != s.Version:
			c.violated("P1", "%s is there, but version %d was acknowledged", s, a.write.First+int64(a.i))
		}
	}
}

// checkWrites checks that what happened is there, and whole.
func (c *checker) checkWrites() {
	for i := range c.h.Writes {
		w := &c.h.Writes[i]
		if w.Kind != Append || !w.happened() {
			continue
		}
		there, seen := 0, 0
		for _, id := range w.IDs {
			if c.final[id] {
				there++
			}
			if _, ok := c.position[id]; ok {
				seen++
			}
		}
		switch {
		case there == len(w.IDs):
		case there > 0:
			c.violated("P1", "%d of %d events of the append of %s to %q are there", there, len(w.IDs), w.IDs[0], w.Stream)
		case seen == 0 && (c.h.Lossy || w.Outcome == Unknown):
		case !c.mayBeGone(w):
			c.violated("P1", "the append of %s to %q is lost", w.IDs[0], w.Stream)
		}
	}
}

// mayBeGone reports whether a hard delete may have removed the append.
func (c *checker) mayBeGone(w *Write) bool {
	return slices.ContainsFunc(c.deletes[w.Stream], func(d *Write) bool { return d.Ended == 0 || d.Ended >= w.Began })
}

// checkStreams checks the versions of each stream as it reads in the end.
func (c *checker) checkStreams() {
	versions := map[string]map[int64]string{} // of each stream, with the event that was written there
	for i := range c.h.Writes {
		w := &c.h.Writes[i]
		if w.Kind == Delete || !w.happened() || w.First == 0 || c.mayBeGone(w) {
			continue
		}
		if versions[w.Stream] == nil {
			versions[w.Stream] = map[int64]string{}
		}
		for i, id := range w.IDs {
			version := w.First + int64(i)
			if other, twice := versions[w.Stream][version]; twice && !c.h.Lossy {
				c.violated("P2", "%s and %s were both acknowledged as version %d of %q", other, id, version, w.Stream)
			}
			versions[w.Stream][version] = id
		}
	}
	own := map[string][]Entry{} // what the streams must hold at least
	for _, s := range c.h.Final {
		own[s.Stream] = append(own[s.Stream], Entry{s.Version, s.ID})
	}
	for _, name := range slices.Sorted(maps.Keys(c.h.Streams)) {
		c.checkStream(name, c.h.Streams[name], versions[name], own[name])
	}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		if _, ok := c.h.Streams[name]; !ok {
			c.violated("P1", "stream %q is missing", name)
		}
	}
}

func (c *checker) checkStream(name string, entries []Entry, written map[int64]string, own []Entry) {
	has := map[int64]string{}
	last := int64(0)
	for _, e := range entries {
		for v := last + 1; v < e.Number; v++ {
			if id, ok := written[v]; !ok || c.final[id] {
				c.violated("P2", "stream %q has no version %d, but %d", name, v, e.Number)
			}
		}
		if e.Number <= last {
			c.violated("P2", "stream %q has version %d behind %d", name, e.Number, last)
		}
		if !c.final[e.ID] {
			c.violated("P1", "stream %q has %s, but the store has not", name, e.ID)
		}
		last = e.Number
		has[e.Number] = e.ID
	}
	for _, e := range own {
		if has[e.Number] != e.ID {
			c.violated("P1", "stream %q has %q as version %d, it should be %s", name, has[e.Number], e.Number, e.ID)
		}
	}
	for _, v := range slices.Sorted(maps.Keys(written)) {
		if id := written[v]; c.final[id] && has[v] != id && !c.h.Lossy {
			c.violated("P1", "stream %q has %q as version %d, %s was acknowledged", name, has[v], v, id)
		}
	}
}

// checkPositions checks that every position up to the head has, or had, an event.
func (c *checker) checkPositions() {
	unseen := 0 // events that had a position, perhaps, until they were deleted unseen
	for id, a := range c.appends {
		if _, ok := c.position[id]; !ok && a.write.happened() && c.mayBeGone(a.write) {
			unseen++
		}
	}
	missing, first := 0, int64(0)
	next := int64(1)
	for _, position := range append(slices.Clone(c.order), c.h.Head+1) {
		if position > next {
			missing += int(position - next)
			if first == 0 {
				first = next
			}
		}
		next = position + 1
	}
	if missing > unseen {
		c.violated("P3", "%d positions never had an event, the first is %d; %d at most can be of deleted events", missing, first, unseen)
	}
	if n := len(c.order); n > 0 && c.order[n-1] > c.h.Head {
		c.violated("P3", "%s was seen, but the head is %d", c.at[c.order[n-1]], c.h.Head)
	}
}

func (s Seen) String() string {
	return fmt.Sprintf("%s (%s@%d) at %d", s.ID, s.Stream, s.Version, s.Position)
}
