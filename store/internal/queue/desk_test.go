package queue

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// table is a desk with seats that are called by letters, and a count of deliveries.
type table struct {
	t         *testing.T
	d         *Desk[event]
	seats     map[string]*Seat[event]
	woken     map[string]bool
	waits     map[string]bool
	number    int64
	delivered int64
}

func newTable(t *testing.T, size int, seats ...string) *table {
	b := &table{t: t, d: NewDesk(New[event](0, 0, 1000, nil), len(seats)), seats: map[string]*Seat[event]{}, woken: map[string]bool{}, waits: map[string]bool{}}
	for _, name := range seats {
		s, err := b.d.Sit(size, func() { b.woken[name] = true })
		require.NoError(t, err)
		b.seats[name] = s
	}
	return b
}

// add queues events with these keys, "-" for none, and wakes seats.
func (b *table) add(keys ...string) {
	q := b.d.Queue()
	batch := q.Batch(len(keys))
	for _, key := range keys {
		b.number++
		if key == "-" {
			key = ""
		}
		batch.Put(&event{b.number}, b.number, key, nil)
	}
	q.Add(batch)
	b.d.Stir()
}

// take returns the numbers that a seat is sent.
func (b *table) take(seat string, one bool) (numbers []int64) {
	b.delivered++
	items, _, err := b.d.Take(b.seats[seat], Request{Delivery: b.delivered, Open: true, Waited: b.waits[seat], One: one})
	require.NoError(b.t, err)
	b.waits[seat] = len(items) == 0
	for _, i := range items {
		numbers = append(numbers, i.Number)
	}
	b.d.Queue().Let(items)
	return numbers
}

// takeWoken takes for each seat that was woken, in an order that is not that of turns, and returns what each was sent.
func (b *table) takeWoken(one bool) map[string][]int64 {
	got := map[string][]int64{}
	for _, seat := range []string{"C", "A", "D", "B"} {
		if b.woken[seat] {
			b.woken[seat] = false
			if numbers := b.take(seat, one); len(numbers) > 0 {
				got[seat] = numbers
			}
		}
	}
	return got
}

func (b *table) ack(seat string, numbers ...int64) error {
	return b.d.Ack(b.seats[seat], Answer{N: len(numbers), Event: func(i int) (int64, int64) { return numbers[i], 0 }, Open: true, Sent: b.delivered})
}

func (b *table) nack(seat string, numbers ...int64) error {
	return b.d.Nack(b.seats[seat], Answer{N: len(numbers), Event: func(i int) (int64, int64) { return numbers[i], 0 }, Open: true, Sent: b.delivered})
}

func (b *table) ackOnly(seat string, number int64) error {
	return b.d.AckOnly(b.seats[seat], Answer{N: 1, Event: func(int) (int64, int64) { return number, 0 }, Open: true, Sent: b.delivered})
}

// TestTurns: what comes one by one goes to the seat that was sent something longest ago, and only that one is woken.
func TestTurns(t *testing.T) {
	t.Parallel()
	b := newTable(t, 100, "A", "B", "C")
	for _, seat := range []string{"A", "B", "C"} {
		require.Empty(t, b.take(seat, false))
	}
	for n := range int64(9) {
		b.add("-")
		want := []string{"A", "B", "C"}[n%3]
		require.Equal(t, map[string]bool{want: true}, keep(b.woken))
		for _, other := range []string{"A", "B", "C"} { // whichever asks first
			if other != want {
				require.Empty(t, b.take(other, false), "it is not its turn")
			}
		}
		require.Equal(t, []int64{n + 1}, b.take(want, false))
		require.NoError(t, b.ack(want, n+1))
		require.Empty(t, b.take(want, false))
		clear(b.woken)
	}
}

// keep returns the names that are true.
func keep(m map[string]bool) map[string]bool {
	kept := map[string]bool{}
	for name, is := range m {
		if is {
			kept[name] = true
		}
	}
	return kept
}

// TestTurnPasses: a seat whose turn it is, but that does not take, does not delay others.
func TestTurnPasses(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(b *table){
		"idle":  func(b *table) { b.d.Idle(b.seats["A"]) },
		"risen": func(b *table) { b.d.Rise(b.seats["A"], errors.New("left")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newTable(t, 100, "A", "B")
			b.take("A", false)
			b.take("B", false)
			b.add("-")
			require.Equal(t, map[string]bool{"A": true}, keep(b.woken))
			leave(b)
			require.True(t, b.woken["B"])
			require.Equal(t, []int64{1}, b.take("B", false))
		})
	}
	t.Run("busy", func(t *testing.T) { // it has not asked
		t.Parallel()
		b := newTable(t, 100, "A", "B")
		b.add("-")
		require.Equal(t, []int64{1}, b.take("B", false))
	})
	t.Run("full", func(t *testing.T) {
		t.Parallel()
		b := newTable(t, 1, "A", "B")
		b.add("-", "-", "-")
		require.Equal(t, []int64{1}, b.take("A", false))
		require.Empty(t, b.take("A", false))
		require.Equal(t, []int64{2}, b.take("B", false))
		require.NoError(t, b.ack("B", 2))
		require.Equal(t, []int64{3}, b.take("B", false), "though A was sent something longer ago")
	})
}

// TestShares: what is there together is dealt out to all with room.
func TestShares(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		keys  []string
		size  int
		takes string // the seats that take, in this order
		want  [][]int64
	}{
		"the first does not take all":        {repeat("-", 6), 100, "ABC", [][]int64{{1, 2}, {3, 4}, {5}}},
		"and not more than fits":             {repeat("-", 6), 1, "ABC", [][]int64{{1}, {2}, {3}}},
		"one that is full has no share":      {repeat("-", 10), 4, "AAAA", [][]int64{{1, 2, 3, 4}, nil, nil, nil}},
		"one that is slow is left a share":   {repeat("-", 9), 100, "AAA", [][]int64{{1, 2, 3}, {4, 5}, {6, 7}}},
		"keys are dealt, not events":         {[]string{"a", "b", "c", "a", "b", "c"}, 3, "ABC", [][]int64{{1, 4}, {2, 5}, {3, 6}}},
		"all of a key go to one":             {[]string{"a", "a", "a"}, 3, "ABC", [][]int64{{1, 2, 3}, nil, nil}},
		"two keys leave one without":         {[]string{"a", "b", "a", "b"}, 3, "CAB", [][]int64{{1, 3}, {2, 4}, nil}},
		"events without a key beside a key":  {[]string{"a", "-", "a", "-"}, 9, "ABC", [][]int64{{1, 3}, {2}, {4}}},
		"a key's events come to its seat":    {[]string{"a", "b", "a", "b", "a"}, 2, "ABA", [][]int64{{1, 3}, {2, 4}, nil}},
		"a hundred keys and one that asks":   {letters(8), 100, "AA", [][]int64{{1, 2, 3}, {4, 5}}},
		"nothing is there":                   {nil, 100, "AB", [][]int64{nil, nil}},
		"as many seats as events, in a rush": {repeat("-", 3), 100, "ABC", [][]int64{{1}, {2}, {3}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newTable(t, c.size, "A", "B", "C")
			b.add(c.keys...)
			for n, seat := range c.takes {
				assert.Equal(t, c.want[n], b.take(string(seat), false), "take %d by %c", n+1, seat)
			}
		})
	}
}

func repeat(key string, n int) []string { return slices.Repeat([]string{key}, n) }

func letters(n int) (keys []string) {
	for i := range n {
		keys = append(keys, string(rune('a'+i)))
	}
	return keys
}

// TestOne: a handler takes one unit at a time.
func TestOne(t *testing.T) {
	t.Parallel()
	b := newTable(t, 100, "A", "B", "C", "D")
	for _, seat := range []string{"A", "B", "C", "D"} {
		b.take(seat, true)
	}
	b.add(repeat("-", 40)...)
	assert.Equal(t, map[string][]int64{"C": {1}, "A": {2}, "D": {3}, "B": {4}}, b.takeWoken(true))
	assert.Equal(t, []int64{5}, b.take("B", true))

	b = newTable(t, 100, "A", "B")
	b.add("a", "a", "b", "a", "b")
	assert.Equal(t, []int64{1, 2}, b.take("A", true), "up to what another could be sent")
	assert.Equal(t, []int64{3, 5}, b.take("B", true), "all that are there of a key, since nothing else is")
	assert.Empty(t, b.take("A", true), "it has a, and works on that")
	require.NoError(t, b.ackOnly("A", 2))
	assert.Empty(t, b.take("A", true), "1 is in flight")
	require.NoError(t, b.ackOnly("A", 1))
	assert.Equal(t, []int64{4}, b.take("A", true))
}

// TestRetryOvertaken: a key whose event a handler is to try again stays where it is, and the handler goes on with others.
func TestRetryOvertaken(t *testing.T) {
	t.Parallel()
	b := newTable(t, 100, "A", "B")
	b.add("a", "a", "b", "a", "b")
	require.Equal(t, []int64{1, 2}, b.take("A", true))
	require.NoError(t, b.nack("A", 2))
	require.Equal(t, []int64{3, 5}, b.take("A", true))
	require.NoError(t, b.ackOnly("A", 3))
	require.NoError(t, b.ackOnly("A", 5))
	require.Empty(t, b.take("A", true))
	require.Empty(t, b.take("B", true), "a is at A")
	require.EqualValues(t, 0, b.d.Queue().Checkpoint())
	require.NoError(t, b.ackOnly("A", 1))
	require.Empty(t, b.take("A", true), "it is the turn of B")
	require.Equal(t, []int64{2, 4}, b.take("B", true))
}

// TestPress: a key that stands still does not fill the queue. What is dropped of it is read again, in order.
func TestPress(t *testing.T) {
	t.Parallel()
	b := newTable(t, 1, "A", "B")
	b.d.queue = New[event](0, 0, 8, nil)
	q := b.d.Queue()
	b.add("x")
	require.Equal(t, []int64{1}, b.take("A", false))
	b.add(repeat("x", 8)...)
	require.False(t, b.d.Starved(), "no seat has asked")
	require.Empty(t, b.take("B", false))
	require.True(t, b.d.Starved())
	require.Zero(t, q.Room())
	q.Press()
	require.Equal(t, 4, q.Room(), "half of it")
	require.True(t, q.Dropped())
	_, ok := q.Wants()
	require.False(t, ok, "x stands still")
	b.add("x", "y", "x", "y") // 10 to 13
	require.Equal(t, []int64{11}, b.take("B", false))
	require.NoError(t, b.ack("B", 11))
	require.Equal(t, []int64{13}, b.take("B", false))
	require.NoError(t, b.ack("B", 13))
	require.Equal(t, 4, q.Room(), "what came of x was dropped at once")

	for number := int64(1); number <= 3; number++ {
		require.NoError(t, b.ack("A", number))
		require.Equal(t, number, q.Checkpoint())
		require.Equal(t, []int64{number + 1}, b.take("A", false))
	}
	from, ok := q.Wants()
	require.True(t, ok, "half of what was kept is handled")
	require.EqualValues(t, 6, from)
	for number := int64(5); number <= 13; number++ {
		require.Equal(t, number >= 6 && number <= 10 || number == 12, q.WasDropped(number), "%d", number)
	}
	b.again(6, 7)
	require.Equal(t, 8-3, q.Room(), "5, 6 and 7")
	require.NoError(t, b.ack("A", 4))
	require.Equal(t, []int64{5}, b.take("A", false))
	_, ok = q.Wants()
	require.False(t, ok, "there are some left")
	require.NoError(t, b.ack("A", 5))
	require.Equal(t, []int64{6}, b.take("A", false))
	from, ok = q.Wants()
	require.True(t, ok)
	require.EqualValues(t, 8, from)
	b.again(8, 13, 10) // 10 was deleted
	require.False(t, q.Dropped(), "that is all")
	b.add("x") // 14
	for _, number := range []int64{6, 7, 8, 9, 12} {
		require.NoError(t, b.ack("A", number))
		next := map[int64]int64{6: 7, 7: 8, 8: 9, 9: 12, 12: 14}[number]
		require.Equal(t, []int64{next}, b.take("A", false))
		require.Equal(t, next-1, q.Checkpoint())
	}
	require.NoError(t, b.ack("A", 14))
	require.True(t, q.Empty())
	require.EqualValues(t, 14, q.Checkpoint())
	require.Empty(t, q.lanes)
	require.Empty(t, q.dropped.chunks)
}

// again reads what was dropped between two numbers again, but for those that are deleted. All are of x.
func (b *table) again(from, upTo int64, deleted ...int64) {
	q := b.d.Queue()
	batch := q.Batch(0)
	for number := from; number <= upTo; number++ {
		if q.WasDropped(number) && !slices.Contains(deleted, number) {
			batch.Put(&event{number}, number, "x", nil)
		}
	}
	q.Again(batch, upTo)
	b.d.Stir()
}

// TestAnswers: what becomes of an acknowledgement, or of an event that is given back.
func TestAnswers(t *testing.T) {
	t.Parallel()
	closed, sealed := errors.New("closed"), errors.New("sealed")
	for name, c := range map[string]struct {
		change   func(b *table)
		delivery int64
		shut     bool // the lease has ended
		number   int64
		want     error
	}{
		"in flight":                        {number: 2},
		"that delivery":                    {number: 2, delivery: 1},
		"another delivery":                 {number: 2, delivery: 9, want: &UnknownError{2}},
		"not in flight":                    {number: 3, want: &UnknownError{3}},
		"the lease has ended":              {number: 2, shut: true, want: ErrVoid},
		"the lease had ended":              {number: 2, delivery: 1, change: func(b *table) { b.expire() }, want: ErrVoid},
		"the lease had ended, by number":   {number: 2, change: func(b *table) { b.expire() }, want: ErrVoid},
		"void":                             {number: 2, delivery: 1, want: ErrVoid, change: func(b *table) { b.d.Void(New[event](0, b.delivered, 9, nil), errors.New("lost")) }},
		"void, by number":                  {number: 2, want: ErrVoid, change: func(b *table) { b.d.Void(New[event](0, b.delivered, 9, nil), errors.New("lost")) }},
		"never there":                      {number: 5, want: &UnknownError{5}, change: func(b *table) { b.d.Void(New[event](0, b.delivered, 9, nil), nil) }},
		"the seat has ended":               {number: 7, want: closed, change: func(b *table) { b.d.Rise(b.seats["A"], closed) }},
		"all have ended":                   {number: 2, want: closed, change: func(b *table) { b.d.End(closed) }},
		"nothing can be acknowledged more": {number: 2, want: sealed, change: func(b *table) { b.d.Seal(sealed) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for what, answer := range map[string]func(*Desk[event], *Seat[event], Answer) error{
				"ack": (*Desk[event]).Ack, "ack only": (*Desk[event]).AckOnly, "nack": (*Desk[event]).Nack,
			} {
				b := newTable(t, 2, "A")
				b.add("-", "-", "-")
				require.Equal(t, []int64{1, 2}, b.take("A", false))
				if c.change != nil {
					c.change(b)
				}
				a := Answer{N: 1, Event: func(int) (int64, int64) { return c.number, c.delivery }, Open: !c.shut, Sent: b.delivered}
				assert.Equal(t, c.want, answer(b.d, b.seats["A"], a), what)
				assert.Equal(t, ErrNothing, answer(b.d, b.seats["A"], Answer{Open: true, Event: a.Event}), what)
			}
		})
	}
}

// expire has what is in flight at A found void.
func (b *table) expire() {
	a := Answer{N: 1, Event: func(int) (int64, int64) { return 1, 0 }, Sent: b.delivered}
	require.Equal(b.t, ErrVoid, b.d.Ack(b.seats["A"], a))
}

// TestTakeBack: what is taken back goes first, to whoever asks, and its answers are refused.
func TestTakeBack(t *testing.T) {
	t.Parallel()
	b := newTable(t, 3, "A", "B")
	require.Empty(t, b.take("B", false))
	b.add("k", "k", "-", "k")
	require.Equal(t, map[string][]int64{"B": {1, 2, 4}}, b.takeWoken(false), "the share of B is a key")
	require.Equal(t, []int64{3}, b.take("A", false))
	require.NoError(t, b.ack("A", 3))
	require.Empty(t, b.take("A", false))
	require.NoError(t, b.ackOnly("B", 1))
	b.d.TakeBack(b.seats["B"])
	require.Equal(t, &UnknownError{2}, b.ack("B", 2))
	require.Equal(t, map[string][]int64{"A": {2, 4}}, b.takeWoken(false), "A waits, and is woken")
	b.d.TakeBack(b.seats["B"]) // nothing
	require.NoError(t, b.ack("A", 4))
	require.EqualValues(t, 4, b.d.Queue().Checkpoint())
}

// TestNotices: a notice is told once, an end for ever, and each wakes the calls that wait.
func TestNotices(t *testing.T) {
	t.Parallel()
	b := newTable(t, 2, "A")
	lost, closed := errors.New("lost"), errors.New("closed")
	a := b.seats["A"]
	require.Empty(t, b.take("A", false))
	b.d.Void(New[event](0, b.delivered, 9, nil), lost)
	require.True(t, b.woken["A"])
	_, _, err := b.d.Take(a, Request{Open: true, Waited: true})
	require.Equal(t, lost, err)
	b.waits["A"] = false
	require.Empty(t, b.take("A", false))
	b.woken["A"] = false
	b.d.End(closed)
	require.True(t, b.woken["A"])
	for range 2 {
		_, _, err = b.d.Take(a, Request{Open: true})
		require.Equal(t, closed, err)
	}
	_, ok := b.d.Rise(a, closed)
	require.False(t, ok, "it has ended")
	for range 2 {
		_, err = b.d.Sit(1, func() {})
	}
	require.ErrorIs(t, err, ErrFull)
}

// TestNumbers compares the set with a map.
func TestNumbers(t *testing.T) {
	t.Parallel()
	var s numbers
	want := map[int64]bool{}
	for i := range int64(2000) {
		n := i * i * 7919 % 5000
		s.add(n)
		want[n] = true
		if i%50 == 0 {
			s.remove(n-200, n-100)
			for gone := n - 200; gone <= n-100; gone++ {
				delete(want, gone)
			}
		}
	}
	low := int64(5000)
	for n := range int64(5000) {
		require.Equal(t, want[n], s.has(n), fmt.Sprint(n))
		if want[n] {
			low = min(low, n)
		}
	}
	got, ok := s.lowest()
	require.True(t, ok)
	require.Equal(t, low, got)
	s.remove(0, 5000)
	_, ok = s.lowest()
	require.False(t, ok)
	require.Empty(t, s.chunks)
	s.add(3)
	got, _ = s.lowest()
	require.EqualValues(t, 3, got)
}

// TestSeveralCalls: several calls wait for one seat, and all of them are woken for what is there.
func TestSeveralCalls(t *testing.T) {
	t.Parallel()
	b := newTable(t, 100, "A", "B")
	require.Empty(t, b.take("A", true))
	b.waits["A"] = false // another call
	require.Empty(t, b.take("A", true))
	b.add("-", "-")
	require.True(t, b.woken["A"])
	b.woken["A"] = false
	require.Equal(t, []int64{1}, b.take("A", true))
	require.True(t, b.woken["A"], "for the other call")
}

// TestStandstill: of a key that stands still nothing is read again, even if nothing of it is left in memory.
func TestStandstill(t *testing.T) {
	t.Parallel()
	b := newTable(t, 1, "A", "B")
	b.d.queue = New[event](0, 0, 1, nil)
	q := b.d.Queue()
	b.add("x")
	require.Equal(t, []int64{1}, b.take("A", false))
	b.add("x")
	require.Empty(t, b.take("B", false))
	require.True(t, b.d.Starved())
	q.Press()
	require.Equal(t, 1, q.Room())
	_, ok := q.Wants()
	require.False(t, ok)
	require.False(t, b.d.Starved())
	require.NoError(t, b.ack("A", 1))
	from, ok := q.Wants()
	require.True(t, ok)
	require.EqualValues(t, 2, from)
	b.again(2, 2)
	require.Equal(t, []int64{2}, b.take("B", false))
}

// TestBytes: a delivery ends before the event that has too many bytes for it, and a key that stands still keeps no more than its part
// of the bytes.
func TestBytes(t *testing.T) {
	t.Parallel()
	b := newTable(t, 9, "A", "B")
	b.d.queue = New[event](0, 0, 100, nil)
	q := b.d.Queue()
	q.Bound(10, func(*event) int { return 2 })
	b.add(repeat("x", 6)...)
	require.Equal(t, 12, q.Bytes())
	items, _, err := b.d.Take(b.seats["A"], Request{Delivery: 1, Open: true, Bytes: 5})
	require.NoError(t, err)
	require.Len(t, items, 2, "a third has too many bytes")
	q.Let(items)
	require.Equal(t, 8, q.Bytes())
	require.Empty(t, b.take("B", false))
	require.True(t, b.d.Starved())
	q.Press()
	require.Equal(t, 4, q.Bytes(), "half of 10, in whole events")
	require.False(t, q.WasDropped(4))
	require.True(t, q.WasDropped(5))
	b.d.Return(b.seats["A"], items)
	require.Equal(t, 8, q.Bytes())
	items, _, err = b.d.Take(b.seats["B"], Request{Delivery: 2, Open: true, Waited: true, Bytes: 1})
	require.NoError(t, err)
	require.Len(t, items, 1, "one in any case")
	q.Let(items)
}

// TestStarvedAfterVoid: a seat that waits while everything is void still waits.
func TestStarvedAfterVoid(t *testing.T) {
	t.Parallel()
	b := newTable(t, 1, "A", "B")
	require.Empty(t, b.take("B", false))
	b.d.Void(New[event](0, b.delivered, 2, nil), nil)
	b.add("x")
	b.woken["B"] = false // it has not taken yet
	require.Equal(t, []int64{1}, b.take("A", false))
	b.add("x", "x")
	require.True(t, b.d.Starved())
}

// TestDropWhileReadingAgain: what is dropped while dropped events are being read again comes before what is behind it.
func TestDropWhileReadingAgain(t *testing.T) {
	t.Parallel()
	b := newTable(t, 1, "A", "B")
	b.d.queue = New[event](0, 0, 8, nil)
	q := b.d.Queue()
	b.add(repeat("x", 9)...)
	require.Equal(t, []int64{1}, b.take("A", false))
	q.Press() // 2 to 5 are left
	for number := int64(1); number < 5; number++ {
		require.NoError(t, b.ack("A", number))
		require.Equal(t, []int64{number + 1}, b.take("A", false))
	}
	require.NoError(t, b.ack("A", 5))
	b.again(6, 7)
	_, ok := q.Wants()
	require.True(t, ok, "6 and 7 are not enough")
	require.Equal(t, []int64{6}, b.take("A", false))
	q.cut(q.lanes["x"], 0, 0)
	require.True(t, q.WasDropped(7))
	b.again(8, 9)
	require.NoError(t, b.ack("A", 6))
	require.Empty(t, b.take("A", false), "7 is to be read first")
	from, ok := q.Wants()
	require.True(t, ok)
	require.EqualValues(t, 7, from)
	b.again(7, 9)
	for number := int64(7); number <= 9; number++ {
		require.Equal(t, []int64{number}, b.take("A", false))
		require.NoError(t, b.ack("A", number))
	}
	require.False(t, q.Dropped())
}

// TestReadingAgainForOthers: a key that stands still gets nothing of what is read again for another, and stays in order.
func TestReadingAgainForOthers(t *testing.T) {
	t.Parallel()
	b := newTable(t, 1, "A", "B")
	b.d.queue = New[event](0, 0, 4, nil)
	q := b.d.Queue()
	b.add("y", "x", "y", "x", "y", "x")
	require.Equal(t, []int64{1}, b.take("B", false))
	require.Equal(t, []int64{2}, b.take("A", false))
	q.Press() // 3 and 4 are left
	require.NoError(t, b.ack("A", 2))
	require.Equal(t, []int64{4}, b.take("A", false))
	require.NoError(t, b.ack("A", 4))
	from, ok := q.Wants()
	require.True(t, ok)
	require.EqualValues(t, 5, from)
	batch := q.Batch(2)
	batch.Put(&event{5}, 5, "y", nil)
	batch.Put(&event{6}, 6, "x", nil)
	q.Again(batch, 6)
	require.Equal(t, []int64{6}, b.take("A", false))
	require.True(t, q.WasDropped(5))
	b.add("y") // 7
	require.True(t, q.WasDropped(7), "it is behind 5")
	for number := int64(1); number <= 3; number += 2 {
		require.NoError(t, b.ack("B", number))
		if number == 1 {
			require.Equal(t, []int64{3}, b.take("B", false))
		}
	}
	require.Empty(t, b.take("B", false))
	batch = q.Batch(2)
	batch.Put(&event{5}, 5, "y", nil)
	batch.Put(&event{7}, 7, "y", nil)
	q.Again(batch, 7)
	require.Equal(t, []int64{5}, b.take("B", false))
	require.NoError(t, b.ack("B", 5))
	require.Equal(t, []int64{7}, b.take("B", false))
	require.False(t, q.Dropped())
}
