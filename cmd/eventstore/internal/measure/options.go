package measure

import (
	"fmt"
	"slices"
	"time"

	"github.com/eventstore-go/eventstore/store"
)

// Options of [Run]. The zero value of each field is its default.
type Options struct {
	Writers     []int         // how many goroutines append at a time, one step each; default: 1, 4, 16
	Batch       []int         // events per append, one step each; default: 1, 100
	EventSize   int           // bytes of an event's data, at least 11; default: 300
	Streams     int           // streams that are appended to in turns; default: 100
	Subscribers int           // subscriptions that receive all events each; default: 1
	Duration    time.Duration // how long a step takes at most; default: 3 s
	// Events bounds a step by a number of events in place of Duration: so many are appended, rounded up to whole appends,
	// or read, or received by each subscriber. Default: Duration bounds it.
	Events int

	Backend string // what the store is kept in, for the report
	Server  string // the server's version, for the report
}

// emptyData is what the data of an event consists of beside its text.
const emptyData = `{"text":""}`

func (o Options) withDefaults() (Options, error) {
	if len(o.Writers) == 0 {
		o.Writers = []int{1, 4, 16}
	}
	if len(o.Batch) == 0 {
		o.Batch = []int{1, 100}
	}
	if o.EventSize == 0 {
		o.EventSize = 300
	}
	if o.Streams == 0 {
		o.Streams = 100
	}
	if o.Subscribers == 0 {
		o.Subscribers = 1
	}
	if o.Duration == 0 {
		o.Duration = 3 * time.Second
	}
	switch {
	case slices.Min(o.Writers) < 1:
		return o, fmt.Errorf("measure: %w: writers are less than one", store.ErrInvalid)
	case slices.Min(o.Batch) < 1:
		return o, fmt.Errorf("measure: %w: events per append are less than one", store.ErrInvalid)
	case o.EventSize < len(emptyData) || o.EventSize > store.MaxData:
		return o, fmt.Errorf("measure: %w: the size of an event is %d, want %d to %d", store.ErrInvalid, o.EventSize, len(emptyData), store.MaxData)
	case o.Streams < 0 || o.Subscribers < 0 || o.Duration < 0 || o.Events < 0:
		return o, fmt.Errorf("measure: %w: a negative number", store.ErrInvalid)
	}
	return o, nil
}
