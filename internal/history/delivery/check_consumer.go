package delivery

import (
	"fmt"
	"maps"
	"slices"

	"github.com/eventstore-go/eventstore/internal/history"
)

// tenure is an epoch of one process on its way through its journal.
type tenure struct {
	*epoch
	sent        map[int64]int  // by position: the subscriber that was sent it
	void        map[int64]bool // by position: it may come again
	acked       map[int64]bool
	clear       int64 // everything up to here was acknowledged
	subscribers map[int]*subscriber
	versions    map[string]int64 // of each stream, the last one that was sent
	holders     map[string]*hold // of each stream, who has unacknowledged events of it
}

// subscriber is one subscriber in a tenure.
type subscriber struct {
	last     int64 // position
	inFlight []history.Seen
	// refusable is what the last acknowledgement was of.
	refusable []history.Seen
}

// hold says that a subscriber has so many unacknowledged events of a stream.
type hold struct{ subscriber, events int }

// journal is a check of what one process tells of one subscription.
type journal struct {
	*checker
	Consumer
	Subscription

	taken    []int64         // epochs that it was told of, in order
	assigned map[int]int64   // epochs that sessions must have, by their first line
	choices  map[int][]int64 // those that they might have
	epochOf  []int64         // of each line that is Sent or Ack; 0 if there is none
	tenures  map[int64]*tenure
	sent     map[int64]bool // by position
	found    []Violation
}

// tries is how many other epochs of sessions are tried at most.
const tries = 1000

// checkConsumer checks what a process was sent, acknowledged and saved of a subscription. Where a session might belong to
// several epochs, it is moved to one in which it breaks fewer rules, if that is found.
func (c *checker) checkConsumer(consumer Consumer, s Subscription) {
	best := c.checkJournal(consumer, s, nil)
	left := tries
	for better := true; better && len(best.found) > 0; {
		better = false
		for _, move := range best.moves() {
			if left--; left < 0 || len(best.found) == 0 {
				break
			}
			assigned := maps.Clone(best.assigned)
			maps.Copy(assigned, move)
			if other := c.checkJournal(consumer, s, assigned); len(other.found) < len(best.found) {
				best, better = other, true
			}
		}
	}
	c.found = append(c.found, best.found...)
	maps.Copy(c.sent[s.Name], best.sent)
}

// moves returns what might be tried: one session in another epoch, or all in one that they might have.
func (j *journal) moves() (list []map[int]int64) {
	together := map[int64]map[int]int64{}
	for _, first := range slices.Sorted(maps.Keys(j.choices)) {
		for _, number := range j.choices[first] {
			if together[number] == nil {
				together[number] = map[int]int64{}
				list = append(list, together[number])
			}
			together[number][first] = number
			if number != j.epochOf[first] {
				list = append(list, map[int]int64{first: number})
			}
		}
	}
	return list
}

// checkJournal is checkConsumer with epochs assigned to some sessions.
func (c *checker) checkJournal(consumer Consumer, s Subscription, assigned map[int]int64) *journal {
	j := &journal{
		checker: c, Consumer: consumer, Subscription: s, assigned: map[int]int64{}, choices: map[int][]int64{},
		tenures: map[int64]*tenure{}, sent: map[int64]bool{},
	}
	maps.Copy(j.assigned, assigned)
	for _, line := range consumer.Lines {
		if line.Kind != Took || line.Subscription != s.Name {
			continue
		}
		if e := c.epochs[s.Name][line.Epoch]; e != nil && e.process == consumer.Process {
			j.taken = append(j.taken, line.Epoch)
		}
	}
	slices.Sort(j.taken)
	j.assign()
	for i, line := range j.Lines {
		if line.Subscription != s.Name {
			continue
		}
		switch line.Kind {
		case Sent:
			if t := j.tenure(j.epochOf[i]); t != nil {
				for _, e := range line.Events {
					j.deliver(t, line.Subscriber, e)
				}
			}
		case Ack:
			if t := j.tenure(j.epochOf[i]); t != nil {
				t.acknowledge(line.Subscriber, line.Number)
			}
		case Refused:
			if t := j.tenure(j.epochOf[i]); t != nil {
				t.refuse(line.Subscriber)
			}
		case Save:
			j.save(line)
		case Saved:
			j.saved(line)
		}
	}
	return j
}

func (j *journal) violated(rule Rule, format string, args ...any) {
	j.found = append(j.found, Violation{rule, fmt.Sprintf(format, args...)})
}

// tenure returns what is known of an epoch so far; nil of none.
func (j *journal) tenure(number int64) *tenure {
	e := j.epochs[j.Name][number]
	if e == nil {
		return nil
	}
	t := j.tenures[number]
	if t == nil {
		t = &tenure{
			epoch: e, clear: e.start, sent: map[int64]int{}, void: map[int64]bool{}, acked: map[int64]bool{}, subscribers: map[int]*subscriber{},
			versions: map[string]int64{}, holders: map[string]*hold{},
		}
		for _, s := range j.h.Stored {
			if s.Position > e.start {
				break
			}
			t.versions[s.Stream] = s.Version
		}
		j.tenures[number] = t
	}
	return t
}

// assign finds the epoch of each delivery. What a subscriber is sent between two times it is told that the lease is lost
// is a session, which belongs to one epoch, later than that of the one before.
func (j *journal) assign() {
	j.epochOf = make([]int64, len(j.Lines))
	type session struct {
		lines    []int
		from, to int64
	}
	open := map[int]*session{}
	before := map[int]int64{} // the epoch of a subscriber's last session
	end := func(who int) {
		s := open[who]
		if s == nil {
			return
		}
		delete(open, who)
		number := j.choose(s.lines[0], max(s.from, before[who]+1), s.to)
		if number == 0 {
			j.violated(Leased, "%s sent %s to subscriber %d of %q without a lease", j.Process, j.Lines[s.lines[0]].Events[0], who, j.Name)
		}
		before[who] = max(before[who], number)
		for _, i := range s.lines {
			j.epochOf[i] = number
		}
	}
	for i, line := range j.Lines {
		if line.Subscription != j.Name {
			continue
		}
		switch who := line.Subscriber; line.Kind {
		case Lost:
			end(who)
		case Sent:
			if open[who] == nil {
				open[who] = &session{from: line.From, to: line.To}
			}
			s := open[who]
			s.lines, s.from, s.to = append(s.lines, i), max(s.from, line.From), min(s.to, line.To)
		case Ack, Refused:
			if s := open[who]; s != nil {
				s.lines = append(s.lines, i)
			}
		}
	}
	for _, who := range slices.Sorted(maps.Keys(open)) {
		end(who)
	}
}

// choose returns an epoch of the process from … to for the session with this first line: the one assigned to it, else the
// first one that may begin with its events, else the last one; 0 if there is none.
func (j *journal) choose(first int, from, to int64) int64 {
	var choices []int64
	for _, n := range j.taken {
		if from <= n && n <= to {
			choices = append(choices, n)
		}
	}
	if len(choices) == 0 {
		return 0
	}
	if len(choices) > 1 {
		j.choices[first] = choices
	}
	if n := j.assigned[first]; slices.Contains(choices, n) {
		return n
	}
	e := j.Lines[first].Events[0]
	for _, n := range choices {
		start := j.epochs[j.Name][n].start
		if place, ok := j.places[e.Position]; ok && (j.Lanes && e.Position > start || place == j.place(start+1)) {
			return n
		}
	}
	return choices[len(choices)-1]
}

// place returns where in h.Stored the first event at or behind a position is.
func (c *checker) place(position int64) int {
	place, _ := slices.BinarySearchFunc(c.h.Stored, position, func(s history.Seen, p int64) int { return int(s.Position - p) })
	return place
}

// deliver checks one event that a subscriber was sent.
func (j *journal) deliver(t *tenure, who int, e history.Seen) {
	r := t.subscribers[who]
	if r == nil {
		r = &subscriber{last: t.start}
		t.subscribers[who] = r
	}
	place, ok := j.places[e.Position]
	if !ok || j.h.Stored[place] != e {
		j.violated(Authentic, "%s was sent %s, which is not what the store holds", j.Process, e)
		return
	}
	j.sent[e.Position] = true
	_, twice := t.sent[e.Position]
	again := t.void[e.Position] // it may come again
	delete(t.void, e.Position)
	switch {
	case e.Position <= t.start:
		j.violated(Once, "%s was sent %s in epoch %d of %q, which began behind %d", j.Process, e, t.number, j.Name, t.start)
	case twice && !again:
		j.violated(Once, "%s was sent %s twice in epoch %d of %q", j.Process, e, t.number, j.Name)
	case !j.Lanes && e.Position < r.last:
		j.violated(Ordered, "%s was sent %s behind %d in epoch %d of %q", j.Process, e, r.last, t.number, j.Name)
	case !j.Lanes && place != j.place(r.last+1):
		j.violated(Gapless, "%s was sent %s behind %d in epoch %d of %q, and not %s", j.Process, e, r.last, t.number, j.Name, j.h.Stored[j.place(r.last+1)])
	}
	switch version := t.versions[e.Stream]; {
	case twice || again || e.Version == version+1:
	case e.Version <= version:
		j.violated(Ordered, "%s was sent %s behind version %d in epoch %d of %q", j.Process, e, version, t.number, j.Name)
	default:
		j.violated(Gapless, "%s was sent %s behind version %d in epoch %d of %q", j.Process, e, version, t.number, j.Name)
	}
	if h := t.holders[e.Stream]; j.Lanes && h != nil && h.events > 0 && h.subscriber != who {
		j.violated(Apart, "%s was sent %s while subscriber %d had events of the stream, in epoch %d of %q", j.Process, e, h.subscriber, t.number, j.Name)
	} else {
		if h == nil {
			h = &hold{}
			t.holders[e.Stream] = h
		}
		h.subscriber = who
		h.events++
	}
	t.sent[e.Position] = who
	t.versions[e.Stream] = max(t.versions[e.Stream], e.Version)
	r.last = max(r.last, e.Position)
	r.inFlight = append(r.inFlight, e)
}

// acknowledge notes that a subscriber is done with an event, and with what it was sent before.
func (t *tenure) acknowledge(who int, number int64) {
	r := t.subscribers[who]
	if r == nil {
		return
	}
	n := slices.IndexFunc(r.inFlight, func(e history.Seen) bool { return e.Position == number }) + 1
	for _, e := range r.inFlight[:n] {
		t.acked[e.Position] = true
		if h := t.holders[e.Stream]; h != nil && h.subscriber == who {
			h.events--
		}
	}
	r.refusable, r.inFlight = r.inFlight[:n:n], r.inFlight[n:]
}

// refuse notes that the subscriber's last acknowledgement was refused, since the lease had expired: what it has in flight
// comes again, in this epoch if nobody has taken the lease.
func (t *tenure) refuse(who int) {
	r := t.subscribers[who]
	if r == nil {
		return
	}
	for _, e := range r.refusable {
		delete(t.acked, e.Position)
	}
	for _, e := range r.inFlight {
		if h := t.holders[e.Stream]; h != nil && h.subscriber == who {
			h.events--
		}
	}
	for _, e := range append(r.refusable, r.inFlight...) {
		t.void[e.Position] = true
		r.last = min(r.last, e.Position-1)
	}
	r.refusable, r.inFlight = nil, nil
}

// save checks that a checkpoint passes nothing that was not acknowledged.
func (j *journal) save(line Line) {
	t := j.tenure(line.Epoch)
	if t == nil || t.process != j.Process {
		j.violated(Leased, "%s saved checkpoint %d of %q in epoch %d, which it never took", j.Process, line.Number, j.Name, line.Epoch)
		return
	}
	for _, e := range j.h.Stored[j.place(t.clear+1):] {
		if e.Position > line.Number {
			break
		}
		if !t.acked[e.Position] {
			j.violated(Earned, "%s saved checkpoint %d of %q in epoch %d, but had not acknowledged %s", j.Process, line.Number, j.Name, line.Epoch, e)
		}
		t.clear = e.Position
	}
}

// saved checks that a checkpoint that is said to be written is.
func (j *journal) saved(line Line) {
	if e := j.epochs[j.Name][line.Epoch]; line.Err == "" && e != nil && e.checkpoint < line.Number {
		j.violated(Durable, "%s was told that checkpoint %d of %q is written in epoch %d, which it is not", j.Process, line.Number, j.Name, line.Epoch)
	}
}
