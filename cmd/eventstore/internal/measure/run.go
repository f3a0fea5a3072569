package measure

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/eventstore-go/eventstore/store"
)

// Run measures a store that nobody else uses, over a new schema: it leaves its events and subscriptions there. Events are
// appended first, then what was appended is read and delivered. progress, if not nil, is called after each step, on the
// caller's goroutine. When ctx ends Run does at once, with ctx's error and the steps that are done; nothing it started is
// left running.
func Run(ctx context.Context, es *store.Store, o Options, progress func(Step)) (Report, error) {
	o, err := o.withDefaults()
	if err != nil {
		return Report{}, err
	}
	r := runner{es: es, o: o, data: data(o.EventSize), progress: progress, report: Report{
		Backend: o.Backend, Server: o.Server, GoVersion: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH,
		CPUs: runtime.NumCPU(), StartedAt: time.Now().UTC(), EventSize: o.EventSize, Streams: o.Streams, Subscribers: o.Subscribers,
	}}
	if err := r.run(ctx); ctx.Err() != nil {
		return r.report, ctx.Err()
	} else if err != nil {
		return r.report, fmt.Errorf("measure: %w", err)
	}
	return r.report, nil
}

type runner struct {
	es       *store.Store
	o        Options
	data     json.RawMessage
	progress func(Step)
	report   Report
}

func (r *runner) run(ctx context.Context) error {
	for _, batch := range r.o.Batch {
		for _, writers := range r.o.Writers {
			if err := r.append(ctx, writers, batch); err != nil {
				return fmt.Errorf("append: %w", err)
			}
		}
	}
	if _, err := r.es.Head(ctx); err != nil { // every event has its position
		return fmt.Errorf("read: %w", err)
	}
	if err := r.read(ctx, ReadAll, store.All); err != nil {
		return fmt.Errorf("read all: %w", err)
	}
	if err := r.read(ctx, ReadStream, r.stream(0)); err != nil {
		return fmt.Errorf("read a stream: %w", err)
	}
	if err := r.catchUp(ctx); err != nil {
		return fmt.Errorf("catch up: %w", err)
	}
	if err := r.deliver(ctx); err != nil {
		return fmt.Errorf("deliver: %w", err)
	}
	return nil
}

func (r *runner) done(s Step) {
	r.report.Steps = append(r.report.Steps, s)
	if r.progress != nil {
		r.progress(s)
	}
}

func (r *runner) stream(n int64) string { return fmt.Sprint("bench-", n%int64(r.o.Streams)) }

func (r *runner) event() store.Event { return store.Event{Type: "measured", Data: r.data} }

// over reports whether a step is: by its number of events so far, or by time.
func (r *runner) over(events int64, start time.Time) bool {
	if r.o.Events > 0 {
		return events >= int64(r.o.Events)
	}
	return time.Since(start) >= r.o.Duration
}

func (r *runner) append(ctx context.Context, writers, batch int) error {
	group, ctx := errgroup.WithContext(ctx)
	var begun, appends atomic.Int64
	times := make([]latencies, writers)
	start := time.Now()
	for w := range writers {
		times[w] = newLatencies()
		group.Go(func() error {
			events := make([]store.Event, batch)
			for i := range events {
				events[i] = r.event()
			}
			for {
				n := begun.Add(1) - 1
				if r.over(n*int64(batch), start) {
					return nil
				}
				from := time.Now()
				if _, err := r.es.Append(ctx, r.stream(n), store.Any, events...); err != nil {
					return err
				}
				times[w].add(time.Since(from))
				appends.Add(1)
			}
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	s := newStep(Append, appends.Load()*int64(batch), time.Since(start))
	s.Writers, s.Batch, s.AppendsPerSecond = writers, batch, s.PerSecond/float64(batch)
	for _, l := range times[1:] {
		times[0].merge(l)
	}
	times[0].into(&s)
	r.done(s)
	return nil
}

// read reads a stream, or all of them, again and again.
func (r *runner) read(ctx context.Context, name, stream string) error {
	var n int64
	start := time.Now()
	for !r.over(n, start) {
		before := n
		events := r.es.Stream(ctx, stream, nil)
		if stream == store.All {
			events = r.es.All(ctx, nil)
		}
		for _, err := range events {
			if err != nil {
				return err
			}
			if n++; r.over(n, start) {
				break
			}
		}
		if n == before { // there is nothing to read
			break
		}
	}
	r.done(newStep(name, n, time.Since(start)))
	return nil
}

// data is a JSON object of so many bytes, whose text is hard to compress.
func data(size int) json.RawMessage {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	text := make([]byte, size-len(emptyData))
	for i := range text {
		text[i] = letters[rand.IntN(len(letters))]
	}
	return json.RawMessage(`{"text":"` + string(text) + `"}`)
}
