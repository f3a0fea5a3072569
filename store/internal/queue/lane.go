package queue

// lane is the unacknowledged events of a partition key.
type lane[E any] struct {
	key      string
	items    fifo[E]  // queued
	bytes    int      // of those
	seat     *Seat[E] // that has events of it in flight, or nil
	inFlight int
	entry    int  // of the entry in a heap that counts; others are left over
	unit     bool // counted in the queue's units

	// Of a lane with events that are not in memory.
	short   bool
	kept    int  // how many were queued when events were last dropped or read again
	wanting bool // counted in the queue's wanting
	wanted  bool // the pass that reads dropped events again is for this lane, too
	shut    bool // the pass has left an event of it out, or may be beyond one
}

// fifo is a list of items in the order of numbers.
type fifo[E any] struct {
	items []*Item[E]
	head  int
}

func (f *fifo[E]) len() int { return len(f.items) - f.head }

// front returns the first item, or nil.
func (f *fifo[E]) front() *Item[E] {
	if f.len() == 0 {
		return nil
	}
	return f.items[f.head]
}

func (f *fifo[E]) pop() {
	f.items[f.head] = nil
	f.head++
	if f.head*2 >= len(f.items) && f.head >= 64 || f.head == len(f.items) {
		n := copy(f.items, f.items[f.head:])
		clear(f.items[n:])
		f.items, f.head = f.items[:n], 0
	}
}

// popLast removes the last item and returns it.
func (f *fifo[E]) popLast() *Item[E] {
	n := len(f.items) - 1
	i := f.items[n]
	f.items[n] = nil
	f.items = f.items[:n]
	return i
}

// insert puts an item where it belongs: behind all, or near the front.
func (f *fifo[E]) insert(i *Item[E]) {
	if n := len(f.items); f.len() == 0 || f.items[n-1].Number < i.Number {
		f.items = append(f.items, i)
		return
	}
	at := f.head
	for f.items[at].Number < i.Number {
		at++
	}
	if f.head > 0 {
		copy(f.items[f.head-1:], f.items[f.head:at])
		f.head--
		f.items[at-1] = i
		return
	}
	f.items = append(f.items, nil)
	copy(f.items[at+1:], f.items[at:])
	f.items[at] = i
}

// laneHeap is a heap of lanes by the number of their first item. Entries of lanes that have moved on are left in it until they
// come to the front, or are half of it.
type laneHeap[E any] struct {
	entries []laneEntry[E]
	most    int // entries, before those that are left over are removed
}

type laneEntry[E any] struct {
	lane   *lane[E]
	entry  int
	number int64
}

func (e *laneEntry[E]) stale() bool { return e.lane.entry != e.entry }

func (h *laneHeap[E]) push(l *lane[E]) {
	if h.most = max(h.most, 64); len(h.entries) >= h.most {
		h.tidy()
		h.most = max(64, 2*len(h.entries))
	}
	h.entries = append(h.entries, laneEntry[E]{l, l.entry, l.items.front().Number})
	h.up(len(h.entries) - 1)
}

// front returns the first item of the lane whose first item has the lowest number, or nil.
func (h *laneHeap[E]) front() *Item[E] {
	for len(h.entries) > 0 {
		if e := &h.entries[0]; !e.stale() {
			return e.lane.items.front()
		}
		n := len(h.entries) - 1
		h.entries[0], h.entries[n] = h.entries[n], laneEntry[E]{}
		h.entries = h.entries[:n]
		h.down(0)
	}
	return nil
}

// tidy removes what is left over.
func (h *laneHeap[E]) tidy() {
	live := h.entries[:0]
	for _, e := range h.entries {
		if !e.stale() {
			live = append(live, e)
		}
	}
	clear(h.entries[len(live):])
	h.entries = live
	for i := len(live)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}

func (h *laneHeap[E]) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if h.entries[parent].number <= h.entries[i].number {
			return
		}
		h.entries[parent], h.entries[i] = h.entries[i], h.entries[parent]
		i = parent
	}
}

func (h *laneHeap[E]) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(h.entries) {
			return
		}
		if right := child + 1; right < len(h.entries) && h.entries[right].number < h.entries[child].number {
			child = right
		}
		if h.entries[i].number <= h.entries[child].number {
			return
		}
		h.entries[i], h.entries[child] = h.entries[child], h.entries[i]
		i = child
	}
}
