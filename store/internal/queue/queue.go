// Package queue holds the events that a subscription has read and its subscribers have not acknowledged: a [Queue] keeps
// them in order and does the arithmetic of the checkpoint, and a [Desk] decides which subscriber, a [Seat], gets which.
//
// The package does no I/O, starts no goroutine, and has no lock and no clock: what it has to know of time, as whether a
// lease is valid, is a parameter. None of its types is safe for concurrent use. The payload of an event, E, is never looked at.
package queue

// Queue holds unacknowledged events by partition key. Events with the same key are in a lane. While a seat has an event of a
// lane in flight, the lane belongs to that seat: no other seat is sent events of it. Events without a key are in no lane and
// go to any seat.
//
// Every operation but CheckpointBehind, Press and Again costs amortised constant time, or the logarithm of the number of lanes. Memory
// is linear in the unacknowledged events and the pages that hold them, however many others were acknowledged behind them; of
// those that Press has dropped, one bit is kept.
type Queue[E any] struct {
	size     int // how many events may be queued
	most     int // how many bytes of events Press makes room at, or 0
	weigh    func(*E) int
	since    int64       // deliveries up to this one were made from another queue
	recycle  func([]E)   // takes pages that are not needed any more, or nil
	received int64       // the last number read
	queued   int         // items that are not in flight
	bytes    int         // of their events
	units    int         // lanes with queued items that belong to no seat
	open     batches[E]  // those with unacknowledged items, in the order of numbers
	reread   batches[E]  // the same, of what was dropped and read again
	spare    *Batch[E]   // memory for the next one, or nil
	dropped  numbers     // unacknowledged, but not in memory
	pass     int64       // from where dropped numbers are being read again, or 0
	short    []*lane[E]  // with dropped events
	wanting  int         // those of short that want some of them
	free     fifo[E]     // queued items without a key
	ready    laneHeap[E] // lanes with queued items that belong to no seat
	lanes    map[string]*lane[E]
}

// Item is an event that is not acknowledged, or is in a batch with one.
type Item[E any] struct {
	Event  *E
	Number int64

	key      string   // of its partition
	failure  *error   // of a callback that did not choose or place it
	lane     *lane[E] // nil without a key
	batch    *Batch[E]
	delivery int64 // by which it was sent last
	sent     int32 // how often it was sent
	acked    bool
}

// Failure returns the error that the event was queued with, or nil.
func (i *Item[E]) Failure() error {
	if i.failure == nil {
		return nil
	}
	return *i.failure
}

// New returns a queue whose next event is behind the checkpoint. Acknowledgements of deliveries up to since are void. Press
// makes room when size events are queued. The queue hands each page that no item needs any more to recycle, unless that is nil.
func New[E any](checkpoint, since int64, size int, recycle func([]E)) *Queue[E] {
	return &Queue[E]{received: checkpoint, since: since, size: size, recycle: recycle, lanes: map[string]*lane[E]{}}
}

// Bound bounds the queue in bytes as well: Press makes room when so many are queued. weigh returns the bytes of an event. Call it before
// anything is added.
func (q *Queue[E]) Bound(bytes int, weigh func(*E) int) { q.most, q.weigh = bytes, weigh }

// Bytes returns how many bytes are queued: 0 if the queue is not bounded in bytes.
func (q *Queue[E]) Bytes() int { return q.bytes }

// full reports whether no more bytes should be queued.
func (q *Queue[E]) full() bool { return q.most > 0 && q.bytes >= q.most }

// weight returns the bytes of an item.
func (q *Queue[E]) weight(i *Item[E]) int {
	if q.weigh == nil {
		return 0
	}
	return q.weigh(i.Event)
}

// count counts an item that is queued from now on; with sign -1 one that is not queued any more.
func (q *Queue[E]) count(i *Item[E], sign int) {
	bytes := sign * q.weight(i)
	q.bytes += bytes
	if i.lane != nil {
		i.lane.bytes += bytes
	}
}

// Received returns the last number that was read.
func (q *Queue[E]) Received() int64 { return q.received }

// Room returns how many events may be added. It is negative if more are queued than there should be.
func (q *Queue[E]) Room() int { return q.size - q.queued }

// Empty reports whether every event in memory is acknowledged.
func (q *Queue[E]) Empty() bool { return q.open.first == nil && q.reread.first == nil }

// Checkpoint returns the highest number up to which every event was acknowledged or left out.
func (q *Queue[E]) Checkpoint() int64 {
	checkpoint := q.received
	if b := q.open.first; b != nil {
		checkpoint = b.lowest() - 1
	}
	for b := q.reread.first; b != nil; b = b.next {
		checkpoint = min(checkpoint, b.lowest()-1)
	}
	if low, ok := q.dropped.lowest(); ok {
		checkpoint = min(checkpoint, low-1)
	}
	return checkpoint
}

// CheckpointBehind returns the checkpoint when every event up to number is acknowledged. It looks at each of them. The queue
// must not have dropped any.
func (q *Queue[E]) CheckpointBehind(number int64) int64 {
	for b := q.open.first; b != nil; b = b.next {
		for i := range b.items[b.head:] {
			if i := &b.items[b.head+i]; !i.acked && i.Number > number {
				return i.Number - 1
			}
		}
	}
	return max(number, q.received)
}

// Skip notes that everything up to number was read, and is left out or absent.
func (q *Queue[E]) Skip(number int64) { q.received = max(q.received, number) }

// Add queues events with numbers above all before. They must not change.
func (q *Queue[E]) Add(b *Batch[E]) {
	b.open = len(b.items)
	if b.open == 0 {
		q.reuse(b)
		return
	}
	q.received = b.items[b.open-1].Number
	for i := range b.items {
		b.items[i].batch = b
		q.place(&b.items[i])
	}
	q.link(&q.open, b)
}

// link adds a batch whose items are placed to a list.
func (q *Queue[E]) link(list *batches[E], b *Batch[E]) {
	if b.open == 0 {
		q.reuse(b)
		return
	}
	q.queued += b.open
	list.add(b)
}

// place puts a new item where it is looked for.
func (q *Queue[E]) place(i *Item[E]) {
	if i.key == "" {
		q.free.insert(i)
		q.count(i, 1)
		return
	}
	l := q.lane(i.key)
	if l.short { // what comes before it in the lane is not in memory
		q.forget(i)
		return
	}
	q.enqueue(l, i)
}

// enqueue puts an item into a lane.
func (q *Queue[E]) enqueue(l *lane[E], i *Item[E]) {
	i.lane = l
	l.items.insert(i)
	q.count(i, 1)
	if l.items.front() == i {
		q.refresh(l)
	} else {
		q.recount(l)
	}
}

// lane returns the lane of a key.
func (q *Queue[E]) lane(key string) *lane[E] {
	l := q.lanes[key]
	if l == nil {
		l = &lane[E]{key: key}
		q.lanes[key] = l
	}
	return l
}

// refresh puts a lane whose first item or seat is another than before where it is looked for, and deletes one that nothing
// needs any more.
func (q *Queue[E]) refresh(l *lane[E]) {
	q.recount(l)
	l.entry++
	queued := l.items.len() > 0
	switch unit := queued && l.seat == nil; {
	case unit && !l.unit:
		l.unit = true
		q.units++
	case !unit && l.unit:
		l.unit = false
		q.units--
	}
	switch {
	case queued && l.seat == nil:
		q.ready.push(l)
	case queued:
		l.seat.lanes.push(l)
	case l.seat == nil && !l.short:
		delete(q.lanes, l.key)
	}
}

// available returns how many units any seat may be sent: an event without a key is one, and a lane that belongs to no seat.
func (q *Queue[E]) available() int { return q.free.len() + q.units }

// fresh returns the queued item with the lowest number that any seat may be sent, or nil.
func (q *Queue[E]) fresh() *Item[E] {
	return lower(q.free.front(), q.ready.front())
}

// lower returns the item with the lower number. Either may be nil.
func lower[E any](a, b *Item[E]) *Item[E] {
	if a == nil || b != nil && b.Number < a.Number {
		return b
	}
	return a
}

// send sends s an item that is the first of its lane, or of those without a key.
func (q *Queue[E]) send(s *Seat[E], i *Item[E], delivery int64) {
	q.queued--
	q.count(i, -1)
	i.sent++
	i.delivery = delivery
	s.items = append(s.items, i)
	if i.lane == nil {
		q.free.pop()
		return
	}
	i.lane.items.pop()
	i.lane.seat = s
	i.lane.inFlight++
	q.refresh(i.lane)
}

// ack acknowledges the first n items that s has in flight.
func (q *Queue[E]) ack(s *Seat[E], n int) {
	for _, i := range s.items[:n] {
		q.land(i)
		q.drop(i)
	}
	s.items = s.items[n:]
	if len(s.items) == 0 {
		s.items = nil
	}
}

// drop forgets an item. It must not be looked at any more, unless it is held.
func (q *Queue[E]) drop(i *Item[E]) {
	b := i.batch
	i.acked = true
	if b.open--; b.open > 0 || b.list == nil {
		return
	}
	b.list.remove(b)
	q.reuse(b)
}

// land notes that an item is not in flight any more.
func (q *Queue[E]) land(i *Item[E]) {
	l := i.lane
	if l == nil {
		return
	}
	if l.inFlight--; l.inFlight == 0 {
		l.seat = nil
		q.refresh(l)
	}
}

// giveBack puts the items at the given places of what s has in flight, in the order of places, back into the queue, where
// they come before all with higher numbers.
func (q *Queue[E]) giveBack(s *Seat[E], places ...int) {
	back := make([]*Item[E], 0, len(places))
	kept := s.items[:0:0]
	for place, i := range s.items {
		if len(places) > 0 && places[0] == place {
			back, places = append(back, i), places[1:]
		} else {
			kept = append(kept, i)
		}
	}
	s.items = kept
	q.queued += len(back)
	for n := len(back) - 1; n >= 0; n-- { // so that each comes to the very front
		i := back[n]
		if i.lane == nil {
			q.free.insert(i)
		} else {
			i.lane.items.insert(i)
		}
		q.count(i, 1)
	}
	for _, i := range back {
		if i.lane != nil {
			q.refresh(i.lane)
			q.land(i)
		}
	}
}
