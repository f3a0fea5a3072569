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

// workload is what is measured. It returns a figure: events per second, or milliseconds.
type workload struct {
	name, unit string
	run        func(ctx context.Context, l log, length time.Duration) (float64, error)
}

// What is read: events, in streams of so many.
const (
	backlog  = 20_000
	inStream = 1_000
	streams  = backlog / inStream
)

// workloads are all, in the order of the tables: the whole way first.
func workloads() []workload {
	list := following()
	for _, n := range []int{1, 100} {
		for _, writers := range []int{1, 16, 32, 128} {
			if n > 1 && writers > 16 {
				continue
			}
			list = append(list, workload{
				fmt.Sprintf("append, %d at a time, %d writers", n, writers), "events/s",
				func(ctx context.Context, l log, length time.Duration) (float64, error) {
					return appends(ctx, l, n, writers, length)
				},
			})
		}
	}
	return append(list,
		workload{"read one stream", "events/s", readStreams},
		workload{"read all", "events/s", readAll},
		workload{"catch up", "events/s", catchUp},
		workload{"delivery, median", "ms", delivery},
	)
}

// appends lets writers append to ten streams each for a while.
func appends(ctx context.Context, l log, n, writers int, length time.Duration) (float64, error) {
	work := func(prefix string, length time.Duration) (int64, time.Duration, error) {
		var done atomic.Int64
		errs := make([]error, writers)
		begun := time.Now()
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				var has [10]int
				for i := 0; time.Since(begun) < length && errs[w] == nil; i = (i + 1) % len(has) {
					errs[w] = l.append(ctx, fmt.Sprintf("%s-%d-%d", prefix, w, i), has[i], n)
					has[i] += n
					done.Add(int64(n))
				}
			})
		}
		wg.Wait()
		return done.Load(), time.Since(begun), errors.Join(errs...)
	}
	if _, _, err := work("warm", length/5); err != nil { // connections, statements
		return 0, err
	}
	events, took, err := work("stream", length)
	return float64(events) / took.Seconds(), err
}

// fill appends the backlog, by hundreds, in turns to all streams.
func fill(ctx context.Context, l log) error {
	for i := range backlog / 100 {
		if err := l.append(ctx, fmt.Sprintf("stream-%d", i%streams), i/streams*100, 100); err != nil {
			return err
		}
	}
	return nil
}

// repeated calls f for a while and returns its rate.
func repeated(length time.Duration, f func() (int, error)) (float64, error) {
	if _, err := f(); err != nil {
		return 0, err
	}
	events, begun := 0, time.Now()
	for time.Since(begun) < length {
		n, err := f()
		if err != nil {
			return 0, err
		}
		events += n
	}
	return float64(events) / time.Since(begun).Seconds(), nil
}

// readStreams reads streams, one after the other.
func readStreams(ctx context.Context, l log, length time.Duration) (float64, error) {
	if err := fill(ctx, l); err != nil {
		return 0, err
	}
	i := 0
	return repeated(length, func() (int, error) {
		i++
		n, err := l.readStream(ctx, fmt.Sprintf("stream-%d", i%streams))
		if err == nil && n != inStream {
			err = fmt.Errorf("it read %d events", n)
		}
		return n, err
	})
}

// readAll reads all events.
func readAll(ctx context.Context, l log, length time.Duration) (float64, error) {
	if err := fill(ctx, l); err != nil {
		return 0, err
	}
	return repeated(length, func() (int, error) {
		n := 0
		_, err := l.readAll(ctx, 0, func([]byte) { n++ })
		if err == nil && n != backlog {
			err = fmt.Errorf("it read %d events", n)
		}
		return n, err
	})
}

// catchUp lets new subscribers read all events, with what they write of their progress.
func catchUp(ctx context.Context, l log, length time.Duration) (float64, error) {
	s, ok := l.(subscriber)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	if err := fill(ctx, l); err != nil {
		return 0, err
	}
	i := 0
	return repeated(length, func() (int, error) {
		i++
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		total := 0
		err := s.subscribe(ctx, fmt.Sprint("reader-", i), func([]byte) bool {
			total++
			return total >= backlog
		})
		return total, err
	})
}

// delivery appends events one by one, and waits for each until a subscriber has it.
func delivery(ctx context.Context, l log, length time.Duration) (float64, error) {
	s, ok := l.(subscriber)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	if err := l.append(ctx, "first", 0, 1); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	came, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		ended <- s.subscribe(ctx, "reader", func([]byte) bool {
			came <- struct{}{}
			return false
		})
	}()
	wait := func() error {
		select {
		case <-came:
			return nil
		case err := <-ended:
			return fmt.Errorf("the subscription has ended: %w", err)
		}
	}
	if err := wait(); err != nil {
		return 0, err
	}
	var times []time.Duration
	for has, begun := 0, time.Now(); time.Since(begun) < length; has++ {
		at := time.Now()
		if err := l.append(ctx, "stream", has, 1); err != nil {
			return 0, err
		}
		if err := wait(); err != nil {
			return 0, err
		}
		times = append(times, time.Since(at))
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-ended
	slices.Sort(times)
	return float64(times[len(times)/2]) / float64(time.Millisecond), nil
}
