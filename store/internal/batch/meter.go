package batch

import (
	"math"
	"time"
)

// Span is how far a [Meter] looks back, and up to twice as far.
const Span = 5 * time.Second

// Meter measures how many events per second were applied of late.
type Meter struct {
	since time.Time
	count float64
}

// NewMeter returns a meter that begins now.
func NewMeter(now time.Time) Meter { return Meter{since: now} }

// Rate returns the rate in events per second if n events are added now.
func (m *Meter) Rate(n int, now time.Time) float64 {
	return (m.count + float64(n)) / math.Max(now.Sub(m.since).Seconds(), 1e-3)
}

// Add adds n events.
func (m *Meter) Add(n int, now time.Time) {
	rate := m.Rate(n, now)
	m.count += float64(n)
	if now.Sub(m.since) > 2*Span {
		m.since = now.Add(-Span)
		m.count = rate * Span.Seconds()
	}
}
