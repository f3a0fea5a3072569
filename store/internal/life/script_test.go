package life

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store/internal/checkpoint"
	"github.com/eventstore-go/eventstore/store/internal/intake"
	"github.com/eventstore-go/eventstore/store/internal/queue"
)

var update = flag.Bool("update", false, "write the results of the scripts")

// TestScripts runs the scripts in testdata. A line is a command, and behind "->" what came of it: what a command returns, and in
// parentheses who was woken. Payloads are the numbers of events.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			script, err := os.ReadFile(file)
			require.NoError(t, err)
			got := runScript(t, string(script))
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
				return
			}
			assert.Equal(t, string(script), got)
		})
	}
}

func runScript(t *testing.T, script string) string {
	var out bytes.Buffer
	var s *world
	for _, line := range strings.Split(strings.TrimSuffix(script, "\n"), "\n") {
		command, _, _ := strings.Cut(line, "->")
		command = strings.TrimSpace(command)
		if command == "" || strings.HasPrefix(command, "#") {
			fmt.Fprintln(&out, line)
			continue
		}
		args := strings.Fields(command)
		if args[0] == "new" {
			s = newWorld(args[1:])
			fmt.Fprintln(&out, command)
			continue
		}
		require.NotNil(t, s, "a script begins with new")
		if result := s.do(args); result != "" {
			fmt.Fprintf(&out, "%-44s -> %s\n", command, result)
		} else {
			fmt.Fprintln(&out, command)
		}
	}
	return out.String()
}

// world is a Life with what is around it in a script.
type world struct {
	*Life[int64]
	now      time.Time
	start    time.Time
	seats    map[string]*queue.Seat[int64]
	delivery int64
	woken    []string
}

var (
	errPassing = errors.New("no answer")
	errFinal   = errors.New("invalid")
	errHeld    = errors.New("held")
	errGone    = errors.New("lease lost")
	errClosed  = errors.New("closed")
)

func kindOf(err error) Kind {
	switch {
	case errors.Is(err, errHeld):
		return Held
	case errors.Is(err, errGone):
		return Gone
	case errors.Is(err, errPassing):
		return Passing
	}
	return Final
}

func newWorld(args []string) *world {
	s := &world{start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), seats: map[string]*queue.Seat[int64]{}}
	s.now = s.start
	wake := func(who string) func() { return func() { s.woken = append(s.woken, who) } }
	o := options(wake("runner"), wake("watchers"), func() int64 { return s.delivery })
	for _, arg := range args {
		switch arg {
		case "stream":
			o.All = false
		case "transient":
			o.Transient = true
		case "watch":
			o.Transient, o.Inbox.TooSlow = true, true
		case "existing":
			o.Existing = true
		}
	}
	s.Life = New(o)
	return s
}

// options returns those of a subscription of All that reads pages of 2 of 4 events and whose checkpoint is due after 3 events or a
// second.
func options(runner, watchers func(), deliveries func() int64) Options[int64] {
	return Options[int64]{
		All: true, Seats: 2, Page: 2, Limit: 4, Bytes: 1000, Retry: time.Second, TTL: 30 * time.Second,
		Policy: checkpoint.Policy{Threshold: 3, LeftOut: 100, After: time.Second},
		Inbox:  intake.Limits{Events: 4, Bytes: 1000},
		Queue:  func(at int64) *queue.Queue[int64] { return queue.New[int64](at, deliveries(), 4, nil) },
		Weigh:  func(list []int64) int { return len(list) },
		Kind:   kindOf,
		Named:  func(err error) error { return err },
		Left:   errors.New("left"), LeaseLost: errGone, TooSlow: errors.New("too slow"), Deleted: errors.New("deleted"),
		PositionLost: func(after, head int64) error { return fmt.Errorf("lost: read %d, ends at %d", after, head) },
		WakeRunner:   runner, WakeWatchers: watchers,
	}
}

// do runs a command and returns what came of it.
func (s *world) do(args []string) string {
	s.woken = nil
	out := s.run(args[0], args[1:])
	if len(s.woken) > 0 {
		out = strings.TrimSpace(out + " (" + strings.Join(s.woken, ", ") + ")")
	}
	return out
}

func (s *world) run(command string, args []string) string {
	first := ""
	if len(args) > 0 {
		first = args[0]
	}
	switch command {
	case "next":
		return s.show(s.Next(s.now))
	case "after":
		d, err := time.ParseDuration(first)
		if err != nil {
			return err.Error()
		}
		s.now = s.now.Add(d)
		return s.now.Sub(s.start).String()
	case "sit":
		if s.Closing() {
			return "about to stop"
		}
		seat, err := s.Sit(2, func() { s.woken = append(s.woken, first) })
		s.seats[first] = seat
		return text(err)
	case "rise":
		return strconv.FormatBool(s.Rise(s.seats[first], errors.New("risen")))
	case "close":
		s.Close(errClosed)
	case "acquired":
		g := Grant{Until: s.now.Add(30 * time.Second)}
		for _, arg := range args {
			name, value, _ := strings.Cut(arg, "=")
			n := number(value)
			switch name {
			case "epoch":
				g.Epoch = n
			case "checkpoint":
				g.Checkpoint = n
			case "stream":
				g.StreamID = n
			}
		}
		s.Acquired(g)
	case "joined":
		s.Joined()
	case "failed":
		s.Failed(failure(first), s.now)
	case "tried":
		s.Tried(failure(first), s.now)
	case "read": // what is there, of a stream that ends there with "end", all of one key with "key"
		s.BeginRead()
		if !slices.Contains(args, "end") {
			s.Miss()
		}
		s.receive(span(first), slices.Contains(args, "key"))
		s.Tried(nil, s.now)
	case "received": // a page of the feed
		s.receive(span(first), false)
		s.Tried(nil, s.now)
	case "follow": // a page whose first event has a number, and an id
		seen := intake.Seen{Number: number(first), ID: [16]byte{byte(number(args[1]))}}
		return strconv.FormatBool(s.Follow(seen, seen))
	case "offer":
		list := span(first)
		s.Offer(intake.Page[int64]{Events: list, Last: list[len(list)-1]}, list[0], list[len(list)-1])
	case "news":
		s.News(int(number(first)))
	case "take":
		s.delivery++
		items, _, err := s.Take(s.seats[first], queue.Request{Delivery: s.delivery}, s.now)
		s.Let(items)
		var numbers []string
		for _, i := range items {
			numbers = append(numbers, strconv.FormatInt(i.Number, 10))
		}
		return strings.TrimSpace(strings.Join(numbers, " ") + text(err))
	case "ack", "nack":
		answer := s.Ack
		if command == "nack" {
			answer = s.Nack
		}
		return text(answer(s.seats[first], queue.Answer{
			N: 1, Event: func(int) (int64, int64) { return number(args[1]), 0 }, Sent: s.delivery,
		}, s.now))
	case "write":
		at, ok := s.Write(first == "soon", s.now)
		if !ok {
			return "no"
		}
		return strconv.FormatInt(at, 10)
	case "written":
		err := failure(first)
		s.Written(s.Epoch(), s.Stream(), err, kindOf(err) == Gone, s.now)
	case "committed":
		s.Committed(number(first))
	case "renewed":
		s.Renewed(number(first), s.now.Add(30*time.Second), s.now)
	case "lose":
		s.LoseLease(number(first))
	case "lost":
		s.Lost()
	case "free":
		s.Free()
	case "starve":
		s.Starve(failure(first))
	case "suspect":
		s.Suspect(number(first), false)
	case "looked":
		info := intake.Stream{There: first != "absent"}
		for _, arg := range args {
			name, value, _ := strings.Cut(arg, "=")
			switch name {
			case "id":
				info.ID = number(value)
			case "version":
				info.Version = number(value)
			case "deleted":
				info.Deleted = true
			}
		}
		err := s.Looked(info, s.now)
		s.Tried(err, s.now)
		return text(err)
	case "doubt":
		s.Doubt()
	case "wait":
		s.Wait(s.seats[first], errors.New("unknown version"))
	case "go-on":
		s.Wait(s.seats[first], nil)
	case "trouble":
		s.Trouble(number(first), "boom")
	case "solved":
		s.Solved(number(first), number(first))
	case "noted":
		s.Noted(s.Problem(), failure(first), s.now)
	case "seal":
		return strconv.FormatInt(s.Seal(), 10)
	case "stopped":
		s.Stopped(s.why)
	default:
		return "unknown command"
	}
	return ""
}

func (s *world) receive(list []int64, keyed bool) {
	key := ""
	if keyed {
		key = "a"
	}
	b, received, _, _ := s.Receive(len(list), 0)
	for _, n := range list {
		if n > received {
			e := n
			b.Put(&e, n, key, nil)
			received = n
		}
	}
	s.Received(received, false, s.now, b, nil)
}

// show is what to do, in words.
func (s *world) show(t Todo[int64]) string {
	var out []string
	if t.Changed {
		phase, cause, _ := s.State()
		name := [...]string{"waiting", "catching up", "live", "stopped"}[phase]
		if cause != nil {
			name += ": " + cause.Error()
		}
		out = append(out, "["+name+"]")
	}
	if t.Due {
		out = append(out, "[a checkpoint is due]")
	}
	do := [...]string{"rest", "acquire", "join", "note", "look", "again", "read", "take", "lose", "leave", "stop"}[t.Do]
	switch {
	case t.Do == Rest && !t.Until.IsZero():
		do += " until " + t.Until.Sub(s.start).String()
	case t.Do == Acquire && t.Create:
		do += " or create"
	case t.Do == Note:
		do += " " + strconv.Quote(t.Problem.Text)
	case t.Do == Read:
		do += " " + strconv.Itoa(t.Limit)
	case t.Do == Take:
		do += fmt.Sprintf(" %d..%d", t.Page.Events[0], t.Page.Events[len(t.Page.Events)-1])
	case t.Why != nil:
		do += ": " + t.Why.Error()
	}
	return strings.Join(append(out, do), " ")
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func failure(name string) error {
	switch name {
	case "passing":
		return errPassing
	case "final":
		return errFinal
	case "held":
		return errHeld
	case "gone":
		return errGone
	}
	return nil
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// span returns the numbers of "3..5".
func span(s string) (list []int64) {
	first, last, ok := strings.Cut(s, "..")
	if !ok {
		last = first
	}
	for n := number(first); n <= number(last); n++ {
		list = append(list, n)
	}
	return list
}
