package tail

// Cursor is the position that a feed has read up to, p, and the event there. It advances only over events that all members were offered.
//
//	event                                            | then           | out
//	page: has the same event at p                    | the page's end | Overlaps: offer the rest
//	page: has no event at p, or the id was unknown   | the page's end | Follows: offer it
//	page: has another event at p                     | same           | Replaced: events are lost, find the end
//	page: ends before p                              | same           | Short: find the end, unless a replica lags
//	the end is before p                              | the end        | lost: members on all events must check
//	poll: the end is p, and the event is the same    | same           | no news
//	poll: anything else                              | same           | news: read
type Cursor struct {
	position int64
	last     ID // of the event there, or zero
}

// At returns the cursor of a feed that has read up to a position, with the id of the event there if that is known.
func At(position int64, last ID) Cursor { return Cursor{position, last} }

// Position returns the position that was read up to.
func (c *Cursor) Position() int64 { return c.position }

// Last returns the id of the event at Position, or the zero ID.
func (c *Cursor) Last() ID { return c.last }

// From returns where the next page begins. If overlap, that is the last event that was read, which shows whether the page follows it.
func (c *Cursor) From() (from int64, overlap bool) { return max(c.position, 1), c.position > 0 }

// News reports whether a poll calls for a read: the end, head, is not Position, or the event there has another id. A zero id stands for
// no event, which is not news.
func (c *Cursor) News(head int64, at ID) bool {
	return head != c.position || c.last != ID{} && at != ID{} && at != c.last
}

// Short reports whether a page that was read from From on ends before Position: events are lost, or a replica lags. next is the position
// that follows the page.
func (c *Cursor) Short(next int64) bool { return next <= c.position }

// Verdict is how a page relates to the last event that was read.
type Verdict int

const (
	// Follows means that all of the page is new.
	Follows Verdict = iota
	// Overlaps means that the page begins with the last event that was read, and the rest is new.
	Overlaps
	// Short means that the store, or the page, ends before the last event that was read.
	Short
	// Replaced means that another event is in the place of the last one that was read.
	Replaced
)

// Judge judges a page that was read from From on and is not Short, by the position and the id of its first event. Both are zero for an empty page.
func (c *Cursor) Judge(first int64, id ID) Verdict {
	switch {
	case first == 0 || first != c.position:
		return Follows
	case c.last != ID{} && id != c.last:
		return Replaced
	}
	return Overlaps
}

// To moves the cursor to the end of a page, with the id of the event there if that is known. It reports whether the cursor advanced.
func (c *Cursor) To(position int64, last ID) (moved bool) {
	moved = position > c.position
	c.position, c.last = position, last
	return moved
}

// Ends reports whether events are lost, because the store ends at head, before Position. The cursor then moves to head.
func (c *Cursor) Ends(head int64) (lost bool) {
	if lost = head < c.position; lost {
		c.position, c.last = head, ID{}
	}
	return lost
}
