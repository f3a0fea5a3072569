package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// verdict is what a store has got wrong.
type verdict struct {
	appended                      int
	missed, reordered, duplicated int   // by a reader of all events
	unread                        bool  // there is no such reader
	rounds, wrong                 int   // of appends that compete
	err                           error // of what it was asked for
}

// judge lets writers append for a while, half of them in transactions of their own if that is possible, while a reader
// follows from place to place; and lets appends compete.
func judge(ctx context.Context, l log, length time.Duration) (v verdict) {
	v.follow(ctx, l, length)
	v.compete(ctx, l)
	return v
}

// follow reads what is being appended.
func (v *verdict) follow(ctx context.Context, l log, length time.Duration) {
	const writers = 8
	appended, errs := make([]int, writers), make([]error, writers)
	var wg sync.WaitGroup
	for begun, w := time.Now(), 0; w < writers; w++ {
		wg.Go(func() {
			stream := fmt.Sprint("writer-", w)
			for time.Since(begun) < length && errs[w] == nil {
				if j, ok := l.(joiner); ok && rand.IntN(2) == 0 {
					errs[w] = j.appendTx(ctx, stream, appended[w], rand.N(20*time.Millisecond))
				} else {
					errs[w] = l.append(ctx, stream, appended[w], 1)
				}
				if errs[w] == nil {
					appended[w]++
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	seen := map[content]bool{}
	last := map[string]int{}
	see := func(data []byte) {
		c, err := parse(data)
		v.err = errors.Join(v.err, err)
		c.Note = ""
		switch {
		case seen[c]:
			v.duplicated++
		case c.Version < last[c.Stream]:
			v.reordered++
		}
		seen[c] = true
		last[c.Stream] = max(last[c.Stream], c.Version)
	}
	if _, err := l.readAll(ctx, 0, func([]byte) {}); errors.Is(err, errors.ErrUnsupported) {
		v.listen(ctx, l, done, see)
	} else {
		v.poll(ctx, l, done, see)
	}
	<-done
	v.err = errors.Join(v.err, errors.Join(errs...))
	for _, n := range appended {
		v.appended += n
	}
	v.missed = v.appended - len(seen)
}

// poll reads on from the last place, and once more when all is appended.
func (v *verdict) poll(ctx context.Context, l log, done <-chan struct{}, see func([]byte)) {
	var at int64
	for ended := false; ; {
		var err error
		if at, err = l.readAll(ctx, at, see); err != nil {
			v.unread = errors.Is(err, errors.ErrUnsupported)
			if !v.unread {
				v.err = errors.Join(v.err, err)
			}
			return
		}
		if ended {
			return
		}
		select {
		case <-done:
			ended = true // and read once more
		case <-time.After(time.Millisecond):
		}
	}
}

// listen subscribes, until all is appended and nothing has come for a while.
func (v *verdict) listen(ctx context.Context, l log, done <-chan struct{}, see func([]byte)) {
	s, ok := l.(subscriber)
	if v.unread = !ok; !ok {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	came := make(chan []byte)
	go func() {
		defer close(came)
		_ = s.subscribe(ctx, "judge", func(data []byte) bool { // it ends with ctx
			came <- data
			return ctx.Err() != nil
		})
	}()
	for {
		select {
		case data, ok := <-came:
			if !ok {
				return
			}
			see(data)
			continue
		case <-time.After(2 * time.Second):
		}
		select {
		case <-done:
			cancel()
			for range came { // what is on its way
			}
			return
		default:
		}
	}
}

// compete lets 16 appends at a time, which all expect the same version, compete for each place in a stream.
func (v *verdict) compete(ctx context.Context, l log) {
	for v.rounds = 0; v.rounds < 50; v.rounds++ {
		var wg sync.WaitGroup
		won := make([]bool, 16)
		for i := range won {
			wg.Go(func() { won[i] = l.append(ctx, "prize", v.rounds, 1) == nil })
		}
		wg.Wait()
		winners := 0
		for _, w := range won {
			if w {
				winners++
			}
		}
		if winners != 1 {
			v.wrong++
		}
	}
}
