package measure

import (
	"fmt"
	"time"
)

// Names of steps.
const (
	Append     = "append"
	ReadAll    = "read_all"
	ReadStream = "read_stream"
	CatchUp    = "catch_up"
	// Delivery is how long it takes from the begin of an append until a subscriber has its event.
	Delivery = "delivery"
	// DeliveryAfterAppend is measured with it, from the end of the append; 0 if the subscriber was faster.
	DeliveryAfterAppend = "delivery_after_append"
)

// Report is what [Run] has found.
type Report struct {
	Backend     string    `json:"backend"`
	Server      string    `json:"server"`
	GoVersion   string    `json:"go_version"`
	OS          string    `json:"os"`
	Arch        string    `json:"arch"`
	CPUs        int       `json:"cpus"`
	StartedAt   time.Time `json:"started_at"`
	EventSize   int       `json:"event_size"`
	Streams     int       `json:"streams"`
	Subscribers int       `json:"subscribers"`
	Steps       []Step    `json:"steps"`
}

// Step is one measurement. P50, P95 and P99 are percentiles in milliseconds.
type Step struct {
	Name             string  `json:"name"`
	Writers          int     `json:"writers,omitempty"`
	Batch            int     `json:"batch,omitempty"`
	Events           int64   `json:"events"`
	Seconds          float64 `json:"seconds"`
	PerSecond        float64 `json:"per_second"`
	AppendsPerSecond float64 `json:"appends_per_second,omitempty"`
	P50              float64 `json:"p50,omitempty"`
	P95              float64 `json:"p95,omitempty"`
	P99              float64 `json:"p99,omitempty"`
}

// Label is the name of a step with what distinguishes it.
func (s Step) Label() string {
	if s.Batch > 0 {
		return fmt.Sprintf("%s, writers %d, batch %d", s.Name, s.Writers, s.Batch)
	}
	return s.Name
}

func newStep(name string, events int64, elapsed time.Duration) Step {
	s := Step{Name: name, Events: events, Seconds: elapsed.Seconds()}
	if s.Seconds > 0 {
		s.PerSecond = float64(events) / s.Seconds
	}
	return s
}
