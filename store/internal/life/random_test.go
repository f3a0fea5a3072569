package life

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store/internal/intake"
	"github.com/eventstore-go/eventstore/store/internal/queue"
)

// TestTwoProcesses lets two processes share a subscription, with a database, a feed, subscribers and a clock that are played by
// one loop at random: errors, lost answers, late leases, processes that die. It checks that
//   - a checkpoint never passes an event that no subscriber has acknowledged: at least once;
//   - events of a key are sent in order;
//   - only the process that has the lease in the database is sent events;
//   - when errors end, everything is acknowledged and the checkpoint is at the end.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			p := newPlay(t, seed)
			for range 400 {
				p.step()
			}
			p.calm = true
			for range 3000 {
				if p.step(); p.saved == int64(len(p.keys)) {
					break
				}
			}
			require.EqualValues(t, len(p.keys), p.saved, "the checkpoint comes to the end")
		})
	}
}

// play is the world of a random test.
type play struct {
	t    *testing.T
	rand *rand.Rand
	now  time.Time
	calm bool // nothing fails any more

	// The database. Event n, from 1 on, has keys[n-1].
	keys  []string
	saved int64
	epoch int64
	owner int // of the lease, or -1
	until time.Time

	acked     map[int64]bool // by any subscriber
	delivery  int64
	processes []*process
}

// process is a process with one subscription of two subscribers.
type process struct {
	*Life[int64]
	id       int
	seats    []*queue.Seat[int64]
	inFlight [2][]int64 // by seat, in the order sent
	member   bool       // of the feed
	fed      int64      // up to where the feed has read
	epoch    int64      // that it was granted
	writing  func()     // tells the result of the write under way
}

func newPlay(t *testing.T, seed uint64) *play {
	p := &play{
		t: t, rand: rand.New(rand.NewPCG(seed, 1)), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		owner: -1, acked: map[int64]bool{}, processes: make([]*process, 2),
	}
	for i := range p.processes {
		p.begin(i)
	}
	return p
}

// begin starts a process, which may have died before.
func (p *play) begin(id int) {
	o := options(func() {}, func() {}, func() int64 { return p.delivery })
	x := &process{Life: New(o), id: id}
	for range 2 {
		s, err := x.Sit(2, func() {})
		require.NoError(p.t, err)
		x.seats = append(x.seats, s)
	}
	p.processes[id] = x
}

// fails reports whether something goes wrong now.
func (p *play) fails() bool { return !p.calm && p.rand.IntN(6) == 0 }

func (p *play) step() {
	x := p.processes[p.rand.IntN(2)]
	switch p.rand.IntN(12) {
	case 0:
		if len(p.keys) < 40 {
			p.keys = append(p.keys, []string{"", "a", "b"}[p.rand.IntN(3)])
		}
	case 1:
		p.now = p.now.Add(time.Duration(p.rand.IntN(4000)) * time.Millisecond)
	case 2:
		if !p.calm && p.rand.IntN(20) == 0 {
			p.now = p.now.Add(40 * time.Second)
		} else if !p.calm && p.rand.IntN(20) == 0 {
			p.begin(x.id) // it has died
		}
	case 3:
		p.feed(x)
	case 4:
		p.renew(x)
	case 5:
		p.write(x)
	case 6, 7, 8:
		p.subscribe(x, p.rand.IntN(2))
	default:
		p.run(x)
	}
}

// run lets the process do what is to be done next.
func (p *play) run(x *process) {
	t := x.Next(p.now)
	switch t.Do {
	case Rest:
	case Acquire:
		p.acquire(x)
	case Join:
		if p.fails() {
			x.Failed(errPassing, p.now)
			return
		}
		x.member, x.fed = true, int64(len(p.keys))
		x.Joined()
	case Note:
		x.Noted(t.Problem, p.perhaps(), p.now)
	case Again:
		p.again(x, t.From)
	case Read:
		p.read(x, t.Limit)
	case Take:
		p.receive(x, t.Page.Events, t.Page.Last)
		x.Tried(nil, p.now)
	case Lose:
		x.member = false
		x.Lost()
		x.inFlight = [2][]int64{}
	default:
		require.Fail(p.t, "a subscription with subscribers ends", "%v", t)
	}
}

func (p *play) perhaps() error {
	if p.fails() {
		return errPassing
	}
	return nil
}

// acquire takes the lease if it is free. The answer may be lost.
func (p *play) acquire(x *process) {
	until := p.now.Add(30 * time.Second)
	if p.owner >= 0 && p.owner != x.id && p.until.After(p.now) {
		x.Failed(errHeld, p.now)
		return
	}
	p.owner, p.until = x.id, until
	p.epoch++
	if p.fails() {
		x.Failed(errPassing, p.now)
		return
	}
	x.epoch = p.epoch
	x.inFlight = [2][]int64{}
	x.Acquired(Grant{Epoch: p.epoch, Until: until, Checkpoint: p.saved})
}

// renew renews the lease that the process has, in the database or for all it knows.
func (p *play) renew(x *process) {
	if x.Epoch() == 0 || p.fails() {
		return
	}
	if p.owner != x.id || p.epoch != x.Epoch() {
		x.LoseLease(x.Epoch())
		return
	}
	p.until = p.now.Add(30 * time.Second)
	x.Renewed(p.epoch, p.until, p.now)
	if p.rand.IntN(2) == 0 {
		x.Free()
	}
}

// feed offers new events to a member.
func (p *play) feed(x *process) {
	if !x.member {
		return
	}
	if p.fails() {
		x.Starve(errPassing)
		return
	}
	x.Starve(nil)
	var page []int64
	for n := x.fed + 1; n <= int64(len(p.keys)) && len(page) < 3; n++ {
		page = append(page, n)
	}
	if len(page) > 0 {
		x.fed = page[len(page)-1]
		x.Offer(intake.Page[int64]{Events: page, Last: x.fed}, page[0], x.fed)
	}
}

// write writes a checkpoint, or tells the result. The answer may be lost, and may come late.
func (p *play) write(x *process) {
	if x.writing != nil {
		x.writing()
		x.writing = nil
		return
	}
	at, ok := x.Write(p.rand.IntN(2) == 0, p.now)
	if !ok {
		return
	}
	epoch := x.Epoch()
	var err error
	switch {
	case p.fails():
		err = errPassing
	case p.owner != x.id || p.epoch != epoch:
		err = errGone
	default:
		p.save(at)
		err = p.perhaps()
	}
	x.writing = func() { x.Written(epoch, 0, err, errors.Is(err, errGone), p.now) }
}

func (p *play) save(at int64) {
	for n := int64(1); n <= at; n++ {
		require.True(p.t, p.acked[n], "the checkpoint is %d, but %d is not acknowledged", at, n)
	}
	p.saved = max(p.saved, at)
}

// read reads a page from the database.
func (p *play) read(x *process, limit int) {
	x.BeginRead()
	after := x.Last()
	var page []int64
	for n := after + 1; n <= int64(len(p.keys)) && len(page) < limit; n++ {
		page = append(page, n)
	}
	if p.rand.IntN(3) == 0 {
		p.feed(x) // meanwhile
	}
	if p.fails() {
		x.Miss()
		x.Tried(errPassing, p.now)
		return
	}
	if len(page) > 0 {
		x.Miss()
	}
	p.receive(x, page, after)
	x.Tried(nil, p.now)
}

func (p *play) receive(x *process, page []int64, last int64) {
	b, received, _, _ := x.Receive(len(page), 0)
	for _, n := range page {
		if n > received {
			e := n
			b.Put(&e, n, p.keys[n-1], nil)
			received = n
		}
	}
	x.Received(max(received, last), false, p.now, b, nil)
}

// again reads events again that were dropped.
func (p *play) again(x *process, from int64) {
	if p.fails() {
		x.Tried(errPassing, p.now)
		return
	}
	next := min(from+2, int64(len(p.keys)+1))
	b, upTo, dropped := x.Reread(2, from, next)
	for n := from; n < next; n++ {
		if dropped(n) {
			e := n
			b.Put(&e, n, p.keys[n-1], nil)
		}
	}
	x.ReceivedAgain(b, nil, upTo, p.now)
	x.Tried(nil, p.now)
}

// subscribe lets a subscriber take events, or answer for those that it has.
func (p *play) subscribe(x *process, seat int) {
	s := x.seats[seat]
	if has := x.inFlight[seat]; len(has) > 0 && p.rand.IntN(2) == 0 {
		at := p.rand.IntN(len(has))
		answer := queue.Answer{N: 1, Event: func(int) (int64, int64) { return has[at], 0 }, Sent: p.delivery}
		if !p.calm && p.rand.IntN(5) == 0 {
			if x.Nack(s, answer, p.now) == nil {
				x.inFlight[seat] = slices.Delete(slices.Clone(has), at, at+1)
			}
			return
		}
		if x.Ack(s, answer, p.now) == nil {
			for _, n := range has[:at+1] {
				p.acked[n] = true
			}
			x.inFlight[seat] = has[at+1:]
		} else {
			x.inFlight[seat] = nil // void
		}
		return
	}
	p.delivery++
	items, _, err := x.Take(s, queue.Request{Delivery: p.delivery}, p.now)
	x.Let(items)
	if len(items) == 0 {
		x.Idle(s)
	}
	if err != nil {
		x.inFlight[seat] = nil
	}
	for _, i := range items {
		require.True(p.t, p.owner == x.id && p.epoch == x.epoch, "%d is sent without the lease", i.Number)
		for n := int64(1); n < i.Number; n++ {
			if p.keys[n-1] == p.keys[i.Number-1] && p.keys[n-1] != "" {
				require.True(p.t, p.acked[n] || slices.Contains(x.inFlight[seat], n), "%d is sent before %d, of the same key", i.Number, n)
			}
		}
		x.inFlight[seat] = append(slices.Clone(x.inFlight[seat]), i.Number)
	}
}
