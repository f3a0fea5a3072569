package lease

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestTenure(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	for _, c := range []struct {
		name string
		do   func(l *Tenure) bool // what the last call returned
		want bool
		now  int // seconds

		valid, lost bool
		deadline    time.Time
	}{
		{name: "none", do: func(*Tenure) bool { return false }, valid: true}, // a transient subscription's is never taken from it
		{name: "held", do: func(l *Tenure) bool { l.Take(1, at(30)); return false }, now: 29, valid: true, deadline: at(30)},
		{name: "expired", do: func(l *Tenure) bool { l.Take(1, at(30)); return false }, now: 30},
		{name: "for ever", do: func(l *Tenure) bool { l.Take(1, time.Time{}); return false }, now: 1e6, valid: true},
		{name: "renewed in time", do: func(l *Tenure) bool { l.Take(1, at(30)); return l.Renew(1, at(40), at(10)) }, now: 35, valid: true, deadline: at(40)},
		{
			name: "renewed when it had expired", do: func(l *Tenure) bool { l.Take(1, at(30)); return l.Renew(1, at(60), at(30)) }, want: true,
			now: 35, valid: true, deadline: at(60),
		},
		{name: "a late renewal of the epoch before", do: func(l *Tenure) bool { l.Take(2, at(30)); return l.Renew(1, at(60), at(10)) }, now: 35},
		{name: "lost", do: func(l *Tenure) bool { l.Take(1, at(30)); return l.Lose(1) }, want: true, lost: true, deadline: at(30)},
		{name: "a late loss of the epoch before", do: func(l *Tenure) bool { l.Take(2, at(30)); return l.Lose(1) }, valid: true, deadline: at(30)},
		{
			name: "no renewal after a loss", do: func(l *Tenure) bool { l.Take(1, at(30)); l.Lose(1); return l.Renew(1, at(60), at(10)) }, now: 10,
			lost: true, deadline: at(30),
		},
		{
			name: "taken again", do: func(l *Tenure) bool { l.Take(1, at(30)); l.Lose(1); l.Take(2, at(60)); return l.Lost() },
			now: 40, valid: true, deadline: at(60),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var l Tenure
			assert.Equal(t, c.want, c.do(&l))
			assert.Equal(t, c.valid, l.Valid(at(c.now)), "valid")
			assert.Equal(t, c.lost, l.Lost(), "lost")
			assert.Equal(t, c.deadline, l.Deadline(at(c.now)), "deadline")
		})
	}
}
