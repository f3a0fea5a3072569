// Package intake decides where a subscription gets its next events from: the pages that the feed offers, or storage; and whether what it
// has read is still in its place.
//
// The package does no I/O, starts no goroutine, and has no lock and no clock. None of its types is safe for concurrent use.
package intake

// Page is a part of what the feed has read.
type Page[E any] struct {
	Events []E
	Before Seen  // the last event before the page, or zero if it is not known
	Last   int64 // the last number that the page covers, if it is one of All; events up to there may be hard deleted
	After  int64 // the number that the feed had read up to, if the page is one of All
}

// Limits bound an inbox.
type Limits struct {
	Events, Bytes int
	TooSlow       bool // a subscription that is further behind than Events ends, instead of reading from storage
}

// Intake decides whether the next events come from its inbox, which the feed fills, or from storage; and whether the stream that
// they are of has to be looked at before. Every number above the last one received is in the inbox, or still to be offered, or the
// Intake is behind: so no event is missed.
//
//	| state           | event                                     | next state                                              |
//	|-----------------|-------------------------------------------|---------------------------------------------------------|
//	| Behind          | Read begins                               | Following, inbox empty: what is offered follows the page |
//	| Following       | Miss: the page was not the end, or failed | Behind, inbox empty                                     |
//	| Following       | Offer that fits                           | Following, the inbox grows                              |
//	| Following       | Offer that does not fit                   | Behind, inbox empty; with TooSlow the subscription ends |
//	| Behind          | Offer                                     | Behind; with TooSlow counted, and the same end          |
//	| any             | Begin                                     | Behind, in doubt                                        |
//	| any, of a stream| Doubt, or Saw numbers that begin anew     | in doubt: Look before all else                          |
//	| in doubt        | Look                                      | sure, unless it is doubted again meanwhile              |
//	| in doubt        | Looked: Same, Absent                      | sure; Behind if there is more                           |
//	| in doubt        | Looked: Fresh                             | sure, Behind, numbers begin anew                        |
//	| in doubt        | Looked: Deleted, Short                    | the subscription ends                                   |
type Intake[E any] struct {
	limits Limits
	weigh  func([]E) int
	all    bool  // it is of All, which is never in doubt
	stream int64 // the id of the stream that numbers count in; 0 while there is none
	sure   bool  // the stream was looked at since it was doubted last
	behind bool  // the inbox is not all there is
	inbox  []Page[E]
	size   int // events in the inbox; while behind, and with TooSlow, those that it is behind by
	bytes  int
	saw    int64 // the last number of the stream that the feed has seen
}

// New returns an Intake of a stream, or of All, that is behind. weigh returns the bytes of events.
func New[E any](all bool, l Limits, weigh func([]E) int) *Intake[E] {
	return &Intake[E]{limits: l, weigh: weigh, all: all}
}

// Begin begins behind a checkpoint in the stream with this id.
func (in *Intake[E]) Begin(stream int64) {
	in.stream, in.sure = stream, false
	in.Miss()
}

// Stream returns the id of the stream that numbers count in: 0 while there is none, and of All.
func (in *Intake[E]) Stream() int64 { return in.stream }

// Unknown reports whether it is not known which stream numbers count in: there was none of the name.
func (in *Intake[E]) Unknown() bool { return !in.all && in.stream == 0 }

// Read begins to read a page from storage. What is offered from now on follows that page, if it is the last one.
func (in *Intake[E]) Read() { in.empty(false) }

// Miss notes that there is more in storage than in the inbox.
func (in *Intake[E]) Miss() { in.empty(true) }

func (in *Intake[E]) empty(behind bool) {
	in.behind, in.inbox, in.size, in.bytes = behind, nil, 0, 0
}

// Appeared reads from storage what is in the inbox, if the stream was not there before: first it has to be known which one it is.
func (in *Intake[E]) Appeared() { in.behind = in.behind || in.Unknown() && len(in.inbox) > 0 }

// Behind reports whether the next events are read from storage.
func (in *Intake[E]) Behind() bool { return in.behind }

// Filled reports whether there is something in the inbox.
func (in *Intake[E]) Filled() bool { return len(in.inbox) > 0 }

// Saw notes that the feed has seen events of the stream. If their numbers begin anew, it may be another stream of the name, and
// is doubted, which Saw reports. received is the last number that was read.
func (in *Intake[E]) Saw(first, last, received int64) (doubt bool) {
	if in.all {
		return false
	}
	if doubt = received > 0 && first <= max(in.saw, 1); doubt {
		in.sure = false
	}
	in.saw = last
	return doubt
}

// Offer puts a page of the feed into the inbox, if it fits. wake reports whether to look again, and tooSlow that the subscription
// ends.
func (in *Intake[E]) Offer(p Page[E]) (wake, tooSlow bool) {
	size := in.size + len(p.Events)
	switch {
	case in.behind && !in.limits.TooSlow:
		return false, false
	case in.behind && size <= in.limits.Events:
		in.size = size // it reads them by itself, but must not get ever further behind
		return false, false
	case size > in.limits.Events:
		in.Miss()
		return true, in.limits.TooSlow
	}
	if bytes := in.bytes + in.weigh(p.Events); in.bytes > 0 && bytes > in.limits.Bytes {
		in.Miss()
		in.size = size // it is behind by so many
	} else {
		in.inbox = append(in.inbox, p)
		in.size, in.bytes = size, bytes
	}
	return true, false
}

// News is Offer for n events that are to be read from storage.
func (in *Intake[E]) News(n int) (tooSlow bool) {
	size := in.size + n
	in.Miss()
	if in.limits.TooSlow {
		in.size = size
	}
	return in.limits.TooSlow && size > in.limits.Events
}

// Take takes the first page out of the inbox, or its first events if there is only room for so many.
func (in *Intake[E]) Take(room int) Page[E] {
	p := in.inbox[0]
	if len(p.Events) > room {
		in.inbox[0] = Page[E]{Events: p.Events[room:], Last: p.Last}
		p.Events, p.Last = p.Events[:room], 0
	} else {
		in.inbox[0] = Page[E]{}
		in.inbox = in.inbox[1:]
	}
	in.size -= len(p.Events)
	in.bytes -= in.weigh(p.Events)
	return p
}

// Overtaken notes that the feed has read up to position. It reports whether that is beyond what was received, though nothing is on
// its way: then what was taken for the end was none.
func (in *Intake[E]) Overtaken(position, received int64) bool {
	if in.behind || in.Filled() || received >= position {
		return false
	}
	in.Miss()
	return true
}

// Doubt has the stream looked at before anything else.
func (in *Intake[E]) Doubt() { in.sure = false }

// InDoubt reports whether the stream is to be looked at.
func (in *Intake[E]) InDoubt() bool { return !in.all && !in.sure }

// Look begins to look at the stream. It may be doubted again meanwhile.
func (in *Intake[E]) Look() { in.sure = true }

// Stream is what a look at a stream has found.
type Stream struct {
	ID, Version    int64
	There, Deleted bool
}

// Verdict is what a look at the stream means.
type Verdict int

// The verdicts.
const (
	Same    Verdict = iota // it is the stream that numbers count in
	Absent                 // there is none of the name
	Fresh                  // another stream of the name: numbers begin anew
	Deleted                // it is soft deleted
	Short                  // it ends before what was received
)

// Looked notes what a look at the stream has found. received is the last number that was read.
func (in *Intake[E]) Looked(s Stream, received int64) Verdict {
	switch {
	case !s.There:
		return Absent
	case s.Deleted:
		return Deleted
	case in.stream != 0 && s.ID != in.stream:
		in.stream = s.ID
		in.Miss()
		return Fresh
	case s.Version < received:
		return Short
	}
	in.stream = s.ID
	in.behind = in.behind || s.Version > received
	return Same
}

// Differs reports whether there is more in the stream than was received, or another stream, unless it is read anyway.
func (in *Intake[E]) Differs(s Stream, received int64) bool {
	return !in.behind && (s.Version != received || s.ID != in.stream || s.Deleted)
}
