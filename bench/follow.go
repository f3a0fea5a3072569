package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// followWriters is how many writers a reader follows.
const followWriters = 32

// following are the workloads of the whole way: what is appended is read, too, and all the work that this takes is counted.
func following() []workload {
	return []workload{
		{fmt.Sprintf("append beside a reader, %d writers", followWriters), "events/s", func(ctx context.Context, l log, length time.Duration) (float64, error) {
			return follow(ctx, l, length, false)
		}},
		{fmt.Sprintf("append and deliver, %d writers", followWriters), "events/s", func(ctx context.Context, l log, length time.Duration) (float64, error) {
			return follow(ctx, l, length, true)
		}},
		{"first read after appends", "events/s", firstRead},
		{"visible to a reader, median", "ms", func(ctx context.Context, l log, length time.Duration) (float64, error) {
			return visible(ctx, l, length, 50)
		}},
		{"visible to a reader, 99th percentile", "ms", func(ctx context.Context, l log, length time.Duration) (float64, error) {
			return visible(ctx, l, length, 99)
		}},
	}
}

// follow lets writers append for a while, beside a reader of all events: a subscriber, or a program that polls. The figure is their
// rate, or with delivered the rate at which the reader has got them all.
func follow(ctx context.Context, l log, length time.Duration, delivered bool) (float64, error) {
	if err := l.append(ctx, "first", 0, 1); err != nil {
		return 0, err
	}
	readerCtx, cancel := context.WithCancel(ctx)
	var read atomic.Int64
	ended := make(chan error, 1)
	go func() { ended <- readOn(readerCtx, l, func() { read.Add(1) }) }()
	defer func() { cancel(); <-ended }()
	if err := until(ctx, func() bool { return read.Load() > 0 }); err != nil {
		return 0, fmt.Errorf("the reader has nothing: %w", err)
	}
	begun := time.Now()
	total, err := write(ctx, l, begun.Add(length))
	took := time.Since(begun)
	if err != nil || !delivered {
		return float64(total) / took.Seconds(), err
	}
	if err := until(ctx, func() bool { return read.Load() >= total+1 }); err != nil {
		return 0, fmt.Errorf("the reader has missed %d of %d events", total+1-read.Load(), total)
	}
	return float64(total) / time.Since(begun).Seconds(), nil
}

// readOn calls got for each event, until ctx ends.
func readOn(ctx context.Context, l log, got func()) error {
	if s, ok := l.(subscriber); ok {
		return s.subscribe(ctx, "follower", func([]byte) bool {
			got()
			return false
		})
	}
	for after := int64(0); ctx.Err() == nil; {
		last, err := l.readAll(ctx, after, func([]byte) { got() })
		if err != nil {
			return err
		}
		if last == after {
			time.Sleep(time.Millisecond)
		}
		after = last
	}
	return ctx.Err()
}

// until waits until done, for no longer than half a minute.
func until(ctx context.Context, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for !done() {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// write lets writers append single events to ten streams each, until a moment, and returns how many it were.
func write(ctx context.Context, l log, end time.Time) (int64, error) {
	var done atomic.Int64
	errs := make([]error, followWriters)
	var wg sync.WaitGroup
	for w := range followWriters {
		wg.Go(func() {
			var has [10]int
			for i := 0; time.Now().Before(end) && errs[w] == nil; i = (i + 1) % len(has) {
				errs[w] = l.append(ctx, fmt.Sprintf("stream-%d-%d", w, i), has[i], 1)
				has[i]++
				done.Add(1)
			}
		})
	}
	wg.Wait()
	return done.Load(), errors.Join(errs...)
}

// firstRead appends for a while, and then reads all events for the first time. The figure is the rate of that read.
func firstRead(ctx context.Context, l log, length time.Duration) (float64, error) {
	total, err := write(ctx, l, time.Now().Add(length))
	if err != nil {
		return 0, err
	}
	begun, n := time.Now(), int64(0)
	if _, err := l.readAll(ctx, 0, func([]byte) { n++ }); err != nil {
		return 0, err
	}
	if n != total {
		return 0, fmt.Errorf("it has read %d of %d events", n, total)
	}
	return float64(total) / time.Since(begun).Seconds(), nil
}

// visible appends events one by one, and reads all that is new, until each is there. The figure is a percentile of how long it
// takes from the beginning of the append.
func visible(ctx context.Context, l log, length time.Duration, percentile int) (float64, error) {
	var times []time.Duration
	after := int64(0)
	for has, begun := 0, time.Now(); time.Since(begun) < length; has++ {
		at := time.Now()
		if err := l.append(ctx, "stream", has, 1); err != nil {
			return 0, err
		}
		for n := 0; n == 0; {
			var err error
			if after, err = l.readAll(ctx, after, func([]byte) { n++ }); err != nil {
				return 0, err
			}
		}
		times = append(times, time.Since(at))
	}
	slices.Sort(times)
	return float64(times[(len(times)-1)*percentile/100]) / float64(time.Millisecond), nil
}
