package measure

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// latencies counts times of 1 µs to an hour, to three digits, in memory that does not grow. Not safe for concurrent use.
type latencies struct{ h *hdrhistogram.Histogram }

const longest = time.Hour

func newLatencies() latencies {
	return latencies{hdrhistogram.New(1, longest.Microseconds(), 3)}
}

func (l latencies) add(d time.Duration) {
	_ = l.h.RecordValue(min(max(d, 0), longest).Microseconds()) // it is within the bounds
}

func (l latencies) merge(other latencies) { l.h.Merge(other.h) }

// into sets the percentiles of a step.
func (l latencies) into(s *Step) {
	at := func(p float64) float64 { return float64(l.h.ValueAtQuantile(p)) / 1000 }
	s.P50, s.P95, s.P99 = at(50), at(95), at(99)
}
