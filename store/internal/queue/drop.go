package queue

import "slices"

// Press makes room when only events behind others in flight are queued: of every key it keeps an equal part of half the queue,
// in events and in bytes, and drops what is behind that. Of dropped events the queue keeps the numbers; Wants says when they are to be read again.
// What is added to a lane meanwhile is dropped at once, since it comes behind them.
func (q *Queue[E]) Press() {
	var list []*lane[E]
	for _, l := range q.lanes {
		if l.seat != nil && l.items.len() > 0 {
			list = append(list, l)
		}
	}
	for _, l := range list {
		q.cut(l, q.size/2/len(list), q.most/2/len(list))
	}
}

// cut drops the last queued items of a lane until n items and so many bytes are left.
func (q *Queue[E]) cut(l *lane[E], n, bytes int) {
	if l.items.len() <= n && l.bytes <= bytes {
		return
	}
	if !l.short {
		l.short = true
		q.short = append(q.short, l)
	}
	for l.items.len() > n || l.bytes > bytes {
		i := l.items.popLast()
		q.queued--
		q.count(i, -1)
		q.forget(i)
	}
	l.kept, l.shut = l.items.len(), q.pass > 0 // a pass that is under way may be beyond what was dropped now
	q.refresh(l)
}

// forget drops an item that is not in flight.
func (q *Queue[E]) forget(i *Item[E]) {
	q.dropped.add(i.Number)
	q.drop(i)
}

// Wants reports whether dropped events are to be read again, and from which number on: a lane has been handled up to half of
// what was left of it. Again takes what was read.
func (q *Queue[E]) Wants() (from int64, ok bool) {
	switch {
	case len(q.short) == 0, q.queued >= q.size, q.full():
		return 0, false
	case q.pass > 0:
		return q.pass, true
	case q.wanting > 0:
		return q.dropped.lowest()
	}
	return 0, false
}

// wants reports whether a lane needs more of what was dropped. One that stands still does not.
func (l *lane[E]) wants() bool {
	n := l.items.len()
	return n <= l.kept/2 && (n > 0 || l.seat == nil)
}

// recount counts a short lane among those that want events if it wants some now, and else among the others.
func (q *Queue[E]) recount(l *lane[E]) {
	wants := l.short && l.wants()
	switch {
	case wants && !l.wanting:
		q.wanting++
	case !wants && l.wanting:
		q.wanting--
	}
	l.wanting = wants
}

// Dropped reports whether there are dropped events that were not read again.
func (q *Queue[E]) Dropped() bool { return len(q.short) > 0 }

// WasDropped reports whether the event with a number was dropped and not read again.
func (q *Queue[E]) WasDropped(number int64) bool { return q.dropped.has(number) }

// Again queues dropped events that were read again: all that are left of those from the number that Wants returned up to upTo.
// What the batch lacks was deleted, and counts as acknowledged. The lanes that want events get them; other events are dropped
// again.
func (q *Queue[E]) Again(b *Batch[E], upTo int64) {
	from := q.pass
	if from == 0 {
		from, _ = q.dropped.lowest()
		for _, l := range q.short {
			l.wanted = l.wants()
		}
	}
	q.dropped.remove(from, upTo)
	b.open = len(b.items)
	for n := range b.items {
		b.items[n].batch = b
		placed := n - (len(b.items) - b.open)
		q.placeAgain(&b.items[n], q.Room()-placed)
	}
	q.link(&q.reread, b)
	q.pass = upTo + 1
	if upTo >= q.received || !slices.ContainsFunc(q.short, func(l *lane[E]) bool { return l.wanted && !l.shut && l.wants() }) {
		q.endPass(upTo >= q.received)
	}
}

// placeAgain is place for an item that was dropped, in a queue with so much room. Its key may be another this time.
func (q *Queue[E]) placeAgain(i *Item[E], room int) {
	if i.key == "" {
		q.free.insert(i)
		q.count(i, 1)
		return
	}
	l := q.lane(i.key)
	if l.short && (room <= 0 || !l.wanted || l.shut || q.enough(l, i)) {
		l.shut = true // so are all behind it
		q.forget(i)
		return
	}
	q.enqueue(l, i)
}

// enough reports whether a lane has its part of half the queue without the item: in events, or in bytes. An empty one has not.
func (q *Queue[E]) enough(l *lane[E], i *Item[E]) bool {
	n := l.items.len()
	return n > 0 && (n >= q.size/2/len(q.short) || q.most > 0 && l.bytes+q.weight(i) > q.most/2/len(q.short))
}

// endPass ends a pass, with all dropped events seen or not. Lanes of which none was left out are whole again.
func (q *Queue[E]) endPass(all bool) {
	q.pass = 0
	_, some := q.dropped.lowest()
	short := q.short
	q.short = nil
	for _, l := range short {
		l.kept = l.items.len()
		if !some || all && !l.shut {
			l.short = false
			q.refresh(l)
		} else {
			q.short = append(q.short, l)
			q.recount(l)
		}
		l.wanted, l.shut = false, false
	}
}
