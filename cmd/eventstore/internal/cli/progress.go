package cli

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
)

// signEvery is how often something long says how far it is where there is no terminal.
const signEvery = 5 * time.Second

// progress returns what shows how far something has come, and what ends that.
func (a *app) progress(what string) (transfer.Progress, func()) {
	if !terminal(a.err) {
		return a.signs(what)
	}
	bar := progressbar.NewOptions64(1, progressbar.OptionSetWriter(a.err), progressbar.OptionSetDescription(what), progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("events"), progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(30))
	return func(done, total int64) {
		bar.ChangeMax64(max(total, 1))
		_ = bar.Set64(done)
	}, func() { _ = bar.Finish() }
}

// signs returns progress that prints a line every few seconds, also while nothing is done yet. The goroutine that prints ends with
// the second function, which waits for it.
func (a *app) signs(what string) (transfer.Progress, func()) {
	var done, total atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	begun := time.Now()
	wg.Go(func() {
		ticker := time.NewTicker(signEvery)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				a.tell("%s: %d of %d events after %s\n", what, done.Load(), total.Load(), time.Since(begun).Round(time.Second))
			}
		}
	})
	return func(d, t int64) {
			done.Store(d)
			total.Store(t)
		}, sync.OnceFunc(func() {
			close(stop)
			wg.Wait()
		})
}
