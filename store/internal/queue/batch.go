package queue

import "slices"

// Batch is items that are queued together, and the page that holds their events. The queue uses the memory of both again when
// no item is needed any more.
type Batch[E any] struct {
	Page []E // to be recycled; nil if it has other users

	items    []Item[E] // in the order of numbers
	open     int       // items that are not acknowledged
	head     int       // all before this place are
	held     int       // items that a seat looks at outside of the lock
	list     *batches[E]
	previous *Batch[E]
	next     *Batch[E]
}

// Batch returns a batch with room for n items, to be filled and added.
func (q *Queue[E]) Batch(n int) *Batch[E] {
	b := q.spare
	q.spare = nil
	if b == nil || cap(b.items) < n || cap(b.items) > 4*n+64 { // one that has caught up needs less
		b = &Batch[E]{items: make([]Item[E], 0, n)}
	}
	return b
}

// Len returns how many items the batch has.
func (b *Batch[E]) Len() int { return len(b.items) }

// Put adds an event with a number above those before. The key is that of its partition, and failure why a callback did not
// choose or place it.
func (b *Batch[E]) Put(e *E, number int64, key string, failure error) {
	i := Item[E]{Event: e, Number: number, key: key}
	if failure != nil {
		f := failure // so that nothing is allocated for those that have none
		i.failure = &f
	}
	b.items = append(b.items, i)
}

// Move moves the items to another batch, which is no larger than it must be and has copies of the events.
func (b *Batch[E]) Move(copied func(*E) *E) *Batch[E] {
	c := &Batch[E]{items: slices.Clone(b.items)}
	for i := range c.items {
		c.items[i].Event = copied(c.items[i].Event)
	}
	clear(b.items)
	b.items = b.items[:0]
	return c
}

// lowest returns the lowest number that is not acknowledged. There is one.
func (b *Batch[E]) lowest() int64 {
	for b.items[b.head].acked {
		b.head++
	}
	return b.items[b.head].Number
}

// reuse makes a batch the spare one, if nothing needs any of it.
func (q *Queue[E]) reuse(b *Batch[E]) {
	if b.open > 0 || b.held > 0 {
		return
	}
	if b.Page != nil && q.recycle != nil {
		q.recycle(b.Page)
	}
	clear(b.items)
	*b = Batch[E]{items: b.items[:0]}
	if q.spare == nil || cap(q.spare.items) < cap(b.items) {
		q.spare = b
	}
}

// hold keeps the events of items from being used again until Let is called.
func hold[E any](items []*Item[E]) {
	for _, i := range items {
		i.batch.held++
	}
}

// Let says that the caller does not look at items any more that Take returned.
func (q *Queue[E]) Let(items []*Item[E]) {
	for _, i := range items {
		i.batch.held--
		q.reuse(i.batch)
	}
}

// batches is a list of batches with unacknowledged items.
type batches[E any] struct{ first, last *Batch[E] }

func (l *batches[E]) add(b *Batch[E]) {
	b.list = l
	if b.previous = l.last; l.last == nil {
		l.first = b
	} else {
		l.last.next = b
	}
	l.last = b
}

func (l *batches[E]) remove(b *Batch[E]) {
	if b.previous == nil {
		l.first = b.next
	} else {
		b.previous.next = b.next
	}
	if b.next == nil {
		l.last = b.previous
	} else {
		b.next.previous = b.previous
	}
	b.list, b.previous, b.next = nil, nil, nil
}
