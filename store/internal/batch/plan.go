package batch

import "time"

// smallest is what batches begin with.
const smallest = 100

// Size is how many events the next batch of a partition has: from 1 to most. A batch that took longer than want, or that failed, halves
// it; a batch that was as large and took less than a quarter of want doubles it.
type Size struct {
	most int
	want time.Duration
	next int
}

// NewSize returns the size of batches that have at most so many events, and should take so long.
func NewSize(most int, want time.Duration) *Size {
	return &Size{most: most, want: want, next: min(smallest, most)}
}

func (s *Size) applied(n int, took time.Duration) {
	switch {
	case took > s.want && n > 1:
		s.next = n / 2
	case took < s.want/4 && n >= s.next:
		s.next = min(s.most, 2*s.next)
	}
}

// Do is what is to be done with a list of events.
type Do int

const (
	// Apply applies the first N events: answer Applied, Failed, or Refused.
	Apply Do = iota
	// Ask asks what is to be done about the first event, which has failed for the Attempt-th time in a row: answer Decided.
	Ask
	// LeaveOut notes that the first event is left out: answer Settled or Refused.
	LeaveOut
	// PutAside parks the first event: answer Settled or Refused.
	PutAside
	// Wait waits for the Times-th time in a row: answer Waited.
	Wait
	// WaitReplaying is Wait, but parked events are replayed meanwhile.
	WaitReplaying
	// Postpone has the first event, which is parked, replayed later, and what is behind it of its key: take them from the list, and answer
	// Postponed.
	Postpone
	// End does nothing more: the list is empty, or is to be read again.
	End
)

// Decision is what was decided about an event that has failed.
type Decision int

// Decisions.
const (
	Retry Decision = iota
	Skip
	Park
)

// Todo is what is to be done next.
type Todo struct {
	Do      Do
	N       int // how many events, from the first of the list
	Attempt int // how often the first event has failed before, of Ask also this time
	Times   int // of Wait, from 1
}

// Plan applies a list of events in order: new ones, or parked ones that are replayed. Next says what to do; each Todo but [End] is
// answered once. The caller takes what was dealt with from the list.
//
//	| state         | event                        | then                                | next                          |
//	|---------------|------------------------------|-------------------------------------|-------------------------------|
//	| ready         | Next: nothing is left        | same                                | End                           |
//	| ready         | Next                         | trying(n), n at most the size       | Apply n                       |
//	| trying(n)     | Applied                      | ready, nothing failed               |                               |
//	| trying(n > 1) | Failed                       | ready, the size is half of n        |                               |
//	| trying(1)     | Failed                       | deciding, one more attempt          | Ask                           |
//	| trying(n)     | Refused                      | waiting                             | Wait                          |
//	| deciding      | Decided Retry, new           | waiting                             | WaitReplaying                 |
//	| deciding      | Decided Retry, parked        | postponing                          | Postpone                      |
//	| deciding      | Decided Skip / Park          | settling                            | LeaveOut / PutAside           |
//	| settling      | Settled                      | ready, nothing failed               |                               |
//	| settling      | Settled, parked again        | ended, if something is left         | End                           |
//	| settling      | Refused, new                 | waiting                             | Wait                          |
//	| settling      | Refused, parked              | postponing                          | Postpone                      |
//	| waiting       | Waited                       | ready, attempts are counted further |                               |
//	| postponing    | Postponed                    | ready, attempts begin anew          |                               |
//
// A parked event that was postponed has its attempts counted by [Aside]: they are a parameter of Next. Waits are counted from the last event
// that was dealt with. When a parked event is parked again, what is behind it of its key is not ready any more, so the list is read
// again. When the database can't write a decision, that may be why the handler has failed: it is called again.
type Plan struct {
	size    *Size
	parked  bool
	state   state
	n       int // in the batch that is tried
	attempt int // how often the first event has failed, alone, in a row
	times   int // waits since something was dealt with
}

type state int

const (
	ready state = iota
	trying
	deciding
	leavingOut
	puttingAside
	waiting
	waitingReplaying
	postponing
	ended
)

// Plan returns a plan for new events, or for parked ones.
func (s *Size) Plan(parked bool) Plan { return Plan{size: s, parked: parked} }

// Next returns what to do with a list of events of which so many are left. If the first is parked, tried is how often it has failed since
// it was released.
func (p *Plan) Next(left, tried int) Todo {
	switch p.state {
	case ready:
		return p.try(left, tried)
	case trying:
		return Todo{Do: Apply, N: p.n, Attempt: p.attempt}
	case deciding:
		return Todo{Do: Ask, N: 1, Attempt: p.attempt}
	case leavingOut:
		return Todo{Do: LeaveOut, N: 1, Attempt: p.attempt}
	case puttingAside:
		return Todo{Do: PutAside, N: 1, Attempt: p.attempt}
	case waiting:
		return Todo{Do: Wait, Times: p.times}
	case waitingReplaying:
		return Todo{Do: WaitReplaying, Times: p.times}
	case postponing:
		return Todo{Do: Postpone, N: 1, Attempt: p.attempt}
	}
	return Todo{Do: End}
}

func (p *Plan) try(left, tried int) Todo {
	if left == 0 {
		return Todo{Do: End}
	}
	p.n = min(left, p.size.next)
	if p.parked && p.n == 1 {
		p.attempt = tried
	}
	p.state = trying
	return Todo{Do: Apply, N: p.n, Attempt: p.attempt}
}

// Blocks reports whether the first event has failed, and is new: the new events behind it wait until it is dealt with.
func (p *Plan) Blocks() bool { return !p.parked && p.attempt > 0 }

// Applied notes that a batch was applied.
func (p *Plan) Applied(took time.Duration) {
	p.size.applied(p.n, took)
	p.dealtWith()
}

func (p *Plan) dealtWith() { p.state, p.attempt, p.times = ready, 0, 0 }

// Failed notes that a batch was not applied because of an event in it.
func (p *Plan) Failed() {
	if p.n > 1 {
		p.size.next = p.n / 2
		p.state = ready
		return
	}
	p.attempt++
	p.state = deciding
}

// Refused notes that the database has not taken something for a reason that is not in the events.
func (p *Plan) Refused() {
	if p.state != trying && p.parked {
		p.state = postponing
		return
	}
	p.wait(waiting)
}

func (p *Plan) wait(s state) {
	p.state = s
	p.times++
}

// Decided notes what was decided about the first event.
func (p *Plan) Decided(d Decision) {
	switch {
	case d == Skip:
		p.state = leavingOut
	case d == Park:
		p.state = puttingAside
	case p.parked:
		p.state = postponing
	default:
		p.wait(waitingReplaying)
	}
}

// Settled notes that a decision was carried out.
func (p *Plan) Settled() {
	again := p.parked && p.state == puttingAside
	p.dealtWith()
	if again {
		p.state = ended
	}
}

// Waited notes that a wait is over.
func (p *Plan) Waited() { p.state = ready }

// Postponed notes that the first event is replayed later.
func (p *Plan) Postponed() { p.state, p.attempt = ready, 0 }
