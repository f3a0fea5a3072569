package store

import (
	"container/heap"
	"slices"
	"sync/atomic"
)

// queue holds what a subscription has read and its subscribers have not acknowledged, and does the arithmetic of its
// checkpoint. It does no I/O and knows no time. It is not safe for concurrent use.
//
// Events with the same partition key are in a lane. While a subscriber has an event of a lane in flight, the lane is
// its own: nobody else is sent events of it. Events without a key are in no lane, and go to anybody.
//
// Every operation but checkpointBehind costs amortised constant time, or the logarithm of the number of lanes; memory is linear
// in the unacknowledged events and those they were read with, however many were filtered out or acknowledged behind them.
type queue struct {
	since    int64  // deliveries up to this one were made from another queue
	received int64  // the last number read
	queued   int    // items that nobody was sent
	bytes    int    // of their events
	first    *batch // those with unacknowledged items, queued or in flight, in the order of numbers
	last     *batch
	spare    *batch // memory for the next one, or nil

	free  fifo             // queued items without a key
	lanes map[string]*lane // those with items queued or in flight
	ready lanes            // lanes with queued items that nobody holds
}

// item is an event that is not acknowledged, or is in a batch with one.
type item struct {
	event   *Recorded
	key     string         // of its partition
	failure *CallbackError // what a callback said instead of choosing or placing it
	sent    int            // how often it was sent
	acked   bool
	lane    *lane // nil without a key
	batch   *batch

	delivery int64 // by which it was sent last
}

// deliveries numbers what subscribers are sent, across all Stores of the process: each call of Next that returns events is
// a delivery. An event that was sent twice has two, so that an acknowledgement of the first can't count for the second.
var deliveries atomic.Int64

// batch is items that were queued together, and the page that their events are part of. The memory of both is used again
// when nobody needs any of them.
type batch struct {
	items    []item     // in the order of numbers
	page     []Recorded // nil if others use it, too
	recycler Recycler   // of the page
	open     int        // items that are not acknowledged
	head     int        // all before this place are
	held     int        // items that somebody looks at outside of the lock
	previous *batch
	next     *batch
}

// newBatch returns a batch with room for n items, to be filled and added.
func (q *queue) newBatch(n int) *batch {
	b := q.spare
	q.spare = nil
	if b == nil || cap(b.items) < n || cap(b.items) > 4*n+64 { // one that has caught up needs less
		b = &batch{items: make([]item, 0, n)}
	}
	return b
}

// reuse makes a batch the spare one, if nobody needs any of it.
func (q *queue) reuse(b *batch) {
	if b.open > 0 || b.held > 0 {
		return
	}
	if b.page != nil {
		b.recycler.Recycle(b.page)
	}
	clear(b.items)
	*b = batch{items: b.items[:0]}
	if q.spare == nil || cap(q.spare.items) < cap(b.items) {
		q.spare = b
	}
}

// hold keeps the events of items from being used again, until let is called.
func (q *queue) hold(items []*item) {
	for _, i := range items {
		i.batch.held++
	}
}

// let undoes hold.
func (q *queue) let(items []*item) {
	for _, i := range items {
		i.batch.held--
		q.reuse(i.batch)
	}
}

// lane is the unacknowledged events of a partition key.
type lane struct {
	key      string
	items    fifo    // queued
	holder   *holder // who has events of it in flight, or nil
	inFlight int
	entry    int // of the entry in a heap that counts; others are left over
}

// holder is what a subscriber has in flight.
type holder struct {
	items []*item // in the order in which they were sent; not changed in place, since those who look at them share it
	lanes lanes   // held, with queued items
}

func newQueue(checkpoint int64) *queue {
	return &queue{since: deliveries.Load(), received: checkpoint, lanes: map[string]*lane{}}
}

// checkpoint returns the highest number up to which every event was acknowledged, or was left out.
func (q *queue) checkpoint() int64 {
	b := q.first
	if b == nil {
		return q.received
	}
	for b.items[b.head].acked {
		b.head++
	}
	return b.items[b.head].event.Number - 1
}

// checkpointBehind returns what the checkpoint is when every event up to number is acknowledged. It looks at those up to there.
func (q *queue) checkpointBehind(number int64) int64 {
	for b := q.first; b != nil; b = b.next {
		for i := range b.items[b.head:] {
			if i := &b.items[b.head+i]; !i.acked && i.event.Number > number {
				return i.event.Number - 1
			}
		}
	}
	return max(number, q.received)
}

// skip notes that everything up to number was read and is left out, or is not there.
func (q *queue) skip(number int64) { q.received = max(q.received, number) }

// add queues events with numbers above all before. They are not changed.
func (q *queue) add(b *batch) {
	b.open = len(b.items)
	if b.open == 0 {
		q.reuse(b)
		return
	}
	if b.previous = q.last; q.last == nil {
		q.first = b
	} else {
		q.last.next = b
	}
	q.last = b
	q.queued += b.open
	q.received = b.items[b.open-1].event.Number
	for i := range b.items {
		b.items[i].batch = b
		q.bytes += b.items[i].event.Size()
		q.place(&b.items[i])
	}
}

// place puts a new item where it is looked for.
func (q *queue) place(i *item) {
	if i.key == "" {
		q.free.push(i)
		return
	}
	l := q.lanes[i.key]
	if l == nil {
		l = &lane{key: i.key}
		q.lanes[i.key] = l
	}
	i.lane = l
	l.items.push(i)
	if l.items.len() == 1 {
		q.offer(l)
	}
}

// offer puts a lane whose first item is another than before where it is looked for.
func (q *queue) offer(l *lane) {
	l.entry++
	if l.items.len() == 0 {
		return
	}
	list := &q.ready
	if l.holder != nil {
		list = &l.holder.lanes
	}
	heap.Push(list, laneEntry{l, l.entry, l.items.front().event.Number})
}

// next returns the queued item with the lowest number that h may be sent, or nil.
func (q *queue) next(h *holder) *item {
	var best *item
	if q.free.len() > 0 {
		best = q.free.front()
	}
	for _, list := range [...]*lanes{&q.ready, &h.lanes} {
		if l := list.front(); l != nil {
			if i := l.items.front(); best == nil || i.event.Number < best.event.Number {
				best = i
			}
		}
	}
	return best
}

// send sends h the item that next returned, by a delivery of that number.
func (q *queue) send(h *holder, i *item, delivery int64) {
	q.queued--
	q.bytes -= i.event.Size()
	i.sent++
	i.delivery = delivery
	h.items = append(h.items, i)
	if i.lane == nil {
		q.free.pop()
		return
	}
	i.lane.items.pop()
	i.lane.holder = h
	i.lane.inFlight++
	q.offer(i.lane)
}

// find returns the place of a number among what h has in flight, which is likely to be this one.
func (h *holder) find(number int64, likely int) (place int, ok bool) {
	if likely < len(h.items) && h.items[likely].event.Number == number {
		return likely, true
	}
	for place, i := range h.items {
		if i.event.Number == number {
			return place, true
		}
	}
	return 0, false
}

// ack acknowledges the first n items of what h has in flight.
func (q *queue) ack(h *holder, n int) {
	for _, i := range h.items[:n] {
		q.land(i)
		q.drop(i)
	}
	h.items = h.items[n:]
	if len(h.items) == 0 {
		h.items = nil
	}
}

// drop forgets an unacknowledged item. It must not be looked at any more, unless it is held.
func (q *queue) drop(i *item) {
	b := i.batch
	i.acked = true
	if b.open--; b.open > 0 {
		return
	}
	if b.previous == nil {
		q.first = b.next
	} else {
		b.previous.next = b.next
	}
	if b.next == nil {
		q.last = b.previous
	} else {
		b.next.previous = b.previous
	}
	q.reuse(b)
}

// land notes that an item is not in flight any more.
func (q *queue) land(i *item) {
	l := i.lane
	if l == nil {
		return
	}
	l.inFlight--
	if l.inFlight > 0 {
		return
	}
	l.holder = nil
	if l.items.len() == 0 {
		delete(q.lanes, l.key)
		l.entry++
		return
	}
	q.offer(l)
}

// giveBack puts the items at the given places of what h has in flight, in the order of places, back into the queue,
// where they come before all with higher numbers.
func (q *queue) giveBack(h *holder, places ...int) {
	back := make([]*item, 0, len(places))
	kept := h.items[:0:0]
	for place, i := range h.items {
		if len(places) > 0 && places[0] == place {
			back, places = append(back, i), places[1:]
		} else {
			kept = append(kept, i)
		}
	}
	h.items = kept
	q.queued += len(back)
	for _, i := range slices.Backward(back) { // so that each comes to the very front
		q.bytes += i.event.Size()
		if i.lane == nil {
			q.free.insert(i)
		} else {
			i.lane.items.insert(i)
		}
	}
	for _, i := range back {
		if i.lane != nil {
			q.offer(i.lane)
			q.land(i)
		}
	}
}

// fifo is a list of items in the order of numbers.
type fifo struct {
	items []*item
	head  int
}

func (f *fifo) len() int     { return len(f.items) - f.head }
func (f *fifo) front() *item { return f.items[f.head] }
func (f *fifo) push(i *item) { f.items = append(f.items, i) }

func (f *fifo) pop() {
	f.items[f.head] = nil
	f.head++
	if f.head*2 >= len(f.items) && f.head >= 64 || f.head == len(f.items) {
		n := copy(f.items, f.items[f.head:])
		clear(f.items[n:])
		f.items, f.head = f.items[:n], 0
	}
}

// insert puts an item where it belongs: near the front.
func (f *fifo) insert(i *item) {
	at := f.head
	for at < len(f.items) && f.items[at].event.Number < i.event.Number {
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

// lanes is a heap of lanes by the number of their first item. Entries of lanes that have moved on are left in it until
// they come to the front.
type lanes []laneEntry

type laneEntry struct {
	lane   *lane
	entry  int
	number int64
}

func (l lanes) Len() int           { return len(l) }
func (l lanes) Less(i, j int) bool { return l[i].number < l[j].number }
func (l lanes) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *lanes) Push(x any)        { *l = append(*l, x.(laneEntry)) }

func (l *lanes) Pop() any {
	n := len(*l) - 1
	x := (*l)[n]
	(*l)[n] = laneEntry{}
	*l = (*l)[:n]
	return x
}

// front returns the lane whose first item has the lowest number, or nil.
func (l *lanes) front() *lane {
	for len(*l) > 0 {
		if e := (*l)[0]; e.lane.entry == e.entry {
			return e.lane
		}
		heap.Pop(l)
	}
	return nil
}
