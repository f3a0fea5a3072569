package measure

import (
	"fmt"
	"math"
	"slices"
)

// chart compares rates by the lengths of bars. Each chart has an axis of its own, from zero: appends one by one would not be seen
// beside reads.
type chart struct {
	Title, About string
	Bars         []bar
}

type bar struct {
	Label, Value string
	Width        float64 // percent
}

// throughput returns a chart for appends of each batch size, and one for reads.
func (r Report) throughput() []chart {
	var charts []chart
	for _, batch := range r.batches() {
		c := chart{Title: "Appends, one event each", About: "Events appended in a second. Each append is a transaction of its own, or shares one with others."}
		if batch > 1 {
			c = chart{Title: fmt.Sprintf("Appends of %s events each", count(batch)), About: "Events appended in a second; those of an append are written together."}
		}
		c.bars(r.steps(func(s Step) bool { return s.Name == Append && s.Batch == batch }), func(s Step) string { return plural(s.Writers, "writer") })
		charts = append(charts, c)
	}
	reads := chart{Title: "Reads", About: "Events read in a second; to catch up, each subscription receives and acknowledges all events from the first one on."}
	reads.bars(r.steps(func(s Step) bool { return s.Name != Append && !isLatency(s) }), r.label)
	if len(reads.Bars) > 0 {
		charts = append(charts, reads)
	}
	return charts
}

func (c *chart) bars(steps []Step, label func(Step) string) {
	most := 0.0
	for _, s := range steps {
		most = max(most, s.PerSecond)
	}
	for _, s := range steps {
		c.Bars = append(c.Bars, bar{label(s), number(s.PerSecond) + " events/s", share(s.PerSecond, most)})
	}
}

// spans shows how long appends and deliveries take, on one axis of powers of ten.
type spans struct {
	Ticks []tick
	Spans []span
}

type tick struct {
	Label string
	At    float64 // percent
}

// span has the percentiles of a step, and where they are on the axis, in percent.
type span struct {
	Label                            string
	P50, P95, P99                    string
	AtP50, AtP95, AtP99, Left, Width float64
}

// latency returns the steps that have times.
func (r Report) latency() (v spans) {
	steps := r.steps(func(s Step) bool { return s.P99 > 0 })
	low, high := math.Inf(1), 0.0
	for _, s := range steps {
		low, high = min(low, max(s.P50, leastTime)), max(high, s.P99)
	}
	if len(steps) == 0 {
		return v
	}
	first, last := math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
	if last <= first {
		last = first + 1
	}
	at := func(ms float64) float64 { return percent((math.Log10(max(ms, low)) - first) / (last - first)) }
	for e := first; e <= last; e++ {
		v.Ticks = append(v.Ticks, tick{duration(math.Pow(10, e)), percent((e - first) / (last - first))})
	}
	for _, s := range steps {
		v.Spans = append(v.Spans, span{
			Label: r.label(s), P50: duration(s.P50), P95: duration(s.P95), P99: duration(s.P99),
			AtP50: at(s.P50), AtP95: at(s.P95), AtP99: at(s.P99), Left: at(s.P50), Width: percent((at(s.P99) - at(s.P50)) / 100),
		})
	}
	return v
}

// leastTime is the least time that is measured, in milliseconds.
const leastTime = 0.001

// batches returns the batch sizes of appends, in order.
func (r Report) batches() (list []int) {
	for _, s := range r.Steps {
		if s.Name == Append && !slices.Contains(list, s.Batch) {
			list = append(list, s.Batch)
		}
	}
	slices.Sort(list)
	return list
}

func (r Report) steps(chosen func(Step) bool) (list []Step) {
	for _, s := range r.Steps {
		if chosen(s) {
			list = append(list, s)
		}
	}
	return list
}

func isLatency(s Step) bool { return s.Name == Delivery || s.Name == DeliveryAfterAppend }

func share(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return percent(part / whole)
}

// percent is a share in percent, with so few digits that it is not written with an exponent.
func percent(share float64) float64 { return math.Round(share*10_000) / 100 }
