package store

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/eventstore-go/eventstore/store/internal/checkpoint"
)

// Start says where a new subscription begins. The zero value is [StartOrigin]. A persistent subscription that is there
// already goes on from its checkpoint.
type Start struct {
	current bool
	after   int64
}

var (
	// StartOrigin begins with the first event.
	StartOrigin = Start{}
	// StartCurrent begins behind the last event there is when the subscription is created.
	StartCurrent = Start{current: true}
)

// StartAfter begins behind the event with the given number, which the stream must have reached.
func StartAfter(number int64) Start { return Start{after: number} }

// Defaults of [SubscribeOptions].
const (
	DefaultBufferSize          = 100
	DefaultCheckpointThreshold = 1000
	DefaultCheckpointAfter     = time.Second
	DefaultRetryInterval       = time.Second
	DefaultTimeout             = 30 * time.Second
)

// Forever is a time without an end, for options that allow one.
const Forever time.Duration = -1

// SubscribeOptions of a subscription. The zero value of each field is its default.
//
// All subscribers that a Store has on a subscription share it, so a later subscriber must agree with the options that the first one
// began it with. If it does not, Subscribe returns an [InvalidError] that names the option:
//   - Filter must choose the same events;
//   - Selector, PartitionBy and Mapper must be set if they were set, and nil if they were nil. Functions can't be compared further: that
//     of the first subscriber is called;
//   - MaxSize, CheckpointThreshold, CheckpointAfter, ConcurrencyLimit, RetryInterval and Timeout must be the same, if they are set.
//
// BufferSize, WaitForLease and OnState are each subscriber's own. Start counts only where a subscription is created. Stores and processes
// that take a subscription over from each other are not compared.
type SubscribeOptions struct {
	// Start is where the subscription begins if it is new. Default: StartOrigin.
	Start Start
	// BufferSize is how many events a subscriber has in flight at most: sent to it, and not acknowledged. Default:
	// DefaultBufferSize, since a subscriber that handles one event after the other is served one round trip to the queue
	// for each with 1.
	BufferSize int
	// MaxSize is how many events are queued at most for all subscribers together, read but not sent. Default: ten
	// times BufferSize, at least 2,000. From that on, two pages of 1,000 more may be on their way. Of large events fewer are
	// queued: see [Options].PageBytes.
	//
	// A key that stands still does not fill the queue: if a subscriber is idle, and all queued events are behind events in flight of
	// the same key, each of these keys keeps an equal part of half of MaxSize. The subscription drops the rest, goes on reading for
	// other keys, and reads what it has dropped again when the key goes on. Of dropped events it keeps one bit each.
	MaxSize int
	// CheckpointThreshold is how many numbers the subscription comes forward before its checkpoint is written; after a
	// crash as many events can come again. Default: DefaultCheckpointThreshold, or as many as it comes forward in a
	// quarter of a second, or of CheckpointAfter if that is shorter: who is fast is not held up by writing.
	CheckpointThreshold int
	// CheckpointAfter is how long an acknowledged event waits at most for its checkpoint when the threshold is not
	// reached. Forever: only the threshold counts, and the end of the subscription. Default: DefaultCheckpointAfter.
	CheckpointAfter time.Duration
	// ConcurrencyLimit is how many subscribers there may be at a time, in this process. Default: 1. Events are sent to those
	// that have room in turns: an event goes to the one that was sent something longest ago, and events that are there together are
	// dealt out, also to subscribers that have not called Next yet.
	ConcurrencyLimit int
	// PartitionBy gives an event its partition key. The events of a key are sent in order, to one subscriber at a time:
	// another gets the next only when all before are acknowledged. Events with an empty key go to anybody. Default: all
	// events have an empty key. Like all callbacks it runs on the subscription's own goroutine, for one event at a time. It and
	// Selector are called again for an event that is read again, see MaxSize.
	PartitionBy func(Recorded) string
	// Filter chooses events in the database; what it leaves out is not fetched. Default: all.
	Filter EventFilter
	// Selector chooses events; what it leaves out counts as acknowledged. Default: all.
	Selector func(Recorded) bool
	// Mapper changes an event as it is sent, on the subscriber's goroutine. It keeps the event's Number. Default: nothing.
	Mapper func(Recorded) (Recorded, error)
	// Transient keeps the subscription out of the database: it has no lease and no checkpoint, runs in every process
	// that asks for it, and begins at Start each time.
	Transient bool
	// WaitForLease makes Subscribe wait until this process runs the subscription. Default: it returns at once, and events
	// come when whoever runs the subscription has given it up.
	WaitForLease bool
	// RetryInterval is how long the subscription waits after an error of the database before it tries again. Default:
	// DefaultRetryInterval.
	RetryInterval time.Duration
	// Timeout is how long one step may take that asks the database, with all it asks; then it is tried again after
	// RetryInterval. Default: DefaultTimeout.
	Timeout time.Duration
	// OnState is called when the subscription's state has changed, on its own goroutine. Like the other callbacks there it
	// must not block, so it must not close the subscriber or the Store, or unsubscribe: these wait for that goroutine. A
	// later subscriber's OnState is first called with the state as it is. It is not called any more for a subscriber that
	// was closed while others stay; the last one to close hears that the subscription is Stopped.
	OnState func(SubscriptionState)

	handlers int // of Consume: ConcurrencyLimit is at least this
}

// runOptions are what a subscription runs with: what its user has set, checked and with defaults, and what its kind needs.
type runOptions struct {
	SubscribeOptions
	given  SubscribeOptions // as the user has set them, without defaults
	kind   kind
	policy checkpoint.Policy

	// For partitions of a projection.
	choose     func(streamID int64, e *Recorded) bool // a Selector that also knows which stream numbers count in, or nil
	pages      *pages                                 // shared with other partitions, or nil
	projection string                                 // what the partition is called to the observer, as is partition
	partition  int
}

// kind is the call that a subscription was made by.
type kind int

const (
	viaSubscribe kind = iota
	viaWatch          // it ends when it is too far behind
	viaConsume        // an error is not returned before the lease is given up
	viaProject        // it must be there
)

// policy returns how often the checkpoint is written. A threshold that is only the default is not kept to more than four times in
// CheckpointAfter.
func (o *SubscribeOptions) policy(byDefault bool) checkpoint.Policy {
	p := checkpoint.Policy{
		Threshold: int64(o.CheckpointThreshold), LeftOut: DefaultCheckpointThreshold, After: o.CheckpointAfter,
	}
	if byDefault {
		p.Every = min(DefaultCheckpointAfter, o.CheckpointAfter) / 4
	}
	return p
}

// checked returns the options with their defaults, or what is wrong with them.
func (o *SubscribeOptions) checked() (runOptions, error) {
	var c runOptions
	if o != nil {
		c.SubscribeOptions, c.given = *o, *o
	}
	byDefault := c.CheckpointThreshold == 0
	for _, f := range []struct {
		name  string
		value *int
		least int
		most  int
		other int
	}{
		{"BufferSize", &c.BufferSize, 1, MaxPageSize, DefaultBufferSize},
		{"MaxSize", &c.MaxSize, 1, math.MaxInt32, max(2*readSize, 10*c.BufferSize)},
		{"CheckpointThreshold", &c.CheckpointThreshold, 1, math.MaxInt32, DefaultCheckpointThreshold},
		{"ConcurrencyLimit", &c.ConcurrencyLimit, 1, math.MaxInt32, 1},
	} {
		switch {
		case *f.value == 0:
			*f.value = f.other
		case *f.value < f.least || *f.value > f.most:
			return c, &InvalidError{Field: f.name, Reason: fmt.Sprintf("is %d, must be from %d to %d", *f.value, f.least, f.most)}
		}
	}
	for _, f := range []struct {
		name  string
		value *time.Duration
		other time.Duration
	}{
		{"RetryInterval", &c.RetryInterval, DefaultRetryInterval},
		{"Timeout", &c.Timeout, DefaultTimeout},
	} {
		switch {
		case *f.value == 0:
			*f.value = f.other
		case *f.value < 0:
			return c, &InvalidError{Field: f.name, Reason: fmt.Sprintf("is %v, must not be negative", *f.value)}
		}
	}
	if c.CheckpointAfter == 0 {
		c.CheckpointAfter = DefaultCheckpointAfter
	}
	c.policy = c.SubscribeOptions.policy(byDefault)
	if c.Start.after < 0 {
		return c, &InvalidError{Field: "Start", Reason: fmt.Sprintf("is after %d: numbers begin with 1", c.Start.after)}
	}
	c.ConcurrencyLimit = max(c.ConcurrencyLimit, c.handlers)
	c.Filter = c.Filter.clone()
	return c, checkFilter(c.Filter.Types, c.Filter.StreamPrefix)
}

// contradiction returns an [InvalidError] if the options of a later subscriber contradict o, which the subscription runs with.
func (o *runOptions) contradiction(id SubscriptionID, later *runOptions) error {
	field, given, runs := o.differs(later)
	if field == "" {
		return nil
	}
	return &InvalidError{Field: field, Reason: fmt.Sprintf(
		"is %v, but subscription %q on %q runs in this Store with %v: give all its subscribers the same options, or subscribe under another name",
		given, id.Name, id.Stream, runs)}
}

// differs returns the first option that a later subscriber contradicts, what it is there, and what it is in o; "" if there is none.
func (o *runOptions) differs(later *runOptions) (field string, given, runs any) {
	if !o.Filter.equals(later.Filter) {
		return "Filter", later.Filter, o.Filter
	}
	for _, f := range []struct {
		name        string
		given, runs bool
	}{
		{"Selector", later.Selector != nil, o.Selector != nil},
		{"PartitionBy", later.PartitionBy != nil, o.PartitionBy != nil},
		{"Mapper", later.Mapper != nil, o.Mapper != nil},
	} {
		if f.given != f.runs {
			return f.name, isSet(f.given), isSet(f.runs)
		}
	}
	set := &later.given
	for _, f := range []struct {
		name        string
		isSet       bool
		given, runs any
	}{
		{"MaxSize", set.MaxSize != 0, later.MaxSize, o.MaxSize},
		{"CheckpointThreshold", set.CheckpointThreshold != 0, later.CheckpointThreshold, o.CheckpointThreshold},
		{"CheckpointAfter", set.CheckpointAfter != 0, max(later.CheckpointAfter, -1), max(o.CheckpointAfter, -1)},
		{"ConcurrencyLimit", set.ConcurrencyLimit != 0, later.ConcurrencyLimit, o.ConcurrencyLimit},
		{"RetryInterval", set.RetryInterval != 0, later.RetryInterval, o.RetryInterval},
		{"Timeout", set.Timeout != 0, later.Timeout, o.Timeout},
	} {
		if f.isSet && f.given != f.runs {
			return f.name, f.given, f.runs
		}
	}
	return "", nil, nil
}

// isSet names what a function is, as far as that can be told.
func isSet(set bool) string {
	if set {
		return "set"
	}
	return "nil"
}

// checkSubscription checks what identifies a subscription.
func checkSubscription(id SubscriptionID) error {
	if id.Stream != All {
		if err := checkStream(id.Stream); err != nil {
			return err
		}
	}
	if strings.HasPrefix(id.Name, partitionPrefix) {
		return &InvalidError{Field: "name", Reason: fmt.Sprintf("%q is reserved: names starting with %s are those of projections", id.Name, partitionPrefix)}
	}
	return checkText("name", id.Name, MaxSubscriptionName)
}
