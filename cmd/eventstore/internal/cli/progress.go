package cli

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
)

const (
	// firstSign is when something long says for the first time how far it is, where there is no terminal.
	firstSign = time.Second
	// signEvery is how often it says so from then on.
	signEvery = 5 * time.Second
	// drawEvery is how often the status line of a terminal changes.
	drawEvery = 200 * time.Millisecond
)

// sign is how far something has come, as JSON output has it.
type sign struct {
	Progress string  `json:"progress"` // what is being done
	Done     int64   `json:"done"`
	Total    int64   `json:"total,omitempty"` // 0 if it is not known
	Seconds  float64 `json:"seconds"`
}

// text is the sign for people, in less than width characters; 0 is any number.
func (s sign) text(width int) string {
	elapsed := time.Duration(s.Seconds * float64(time.Second)).Round(time.Second)
	parts := []string{s.Progress + ": " + elapsed.String()}
	if s.Total > 0 {
		parts = []string{
			fmt.Sprintf("%s: %d of %s", s.Progress, s.Done, count(s.Total, "event")),
			fmt.Sprintf("%d%%", 100*min(s.Done, s.Total)/s.Total),
			elapsed.String(),
		}
		if s.Done > 0 && s.Seconds > 0 {
			rate := float64(s.Done) / s.Seconds
			left := time.Duration(float64(max(s.Total-s.Done, 0)) / rate * float64(time.Second)).Round(time.Second)
			parts = append(parts, fmt.Sprintf("%.0f/s", rate), left.String()+" left")
		}
	}
	for width > 0 && len(parts) > 1 && len(strings.Join(parts, ", ")) >= width {
		parts = parts[:len(parts)-1]
	}
	text := strings.Join(parts, ", ")
	if width > 0 && len(text) >= width {
		text = text[:max(width-1, 0)]
	}
	return text
}

// progress returns what is told how far something has come, and what ends that. A terminal shows a status line at once; elsewhere
// a line is printed after a second, and then every few seconds, also while nothing is done yet. The goroutine that prints ends
// with the second function, which waits for it.
func (a *app) progress(what string) (transfer.Progress, func()) {
	var done, total atomic.Int64
	begun := time.Now()
	now := func() sign {
		return sign{what, done.Load(), total.Load(), time.Since(begun).Seconds()}
	}
	end := a.repeat(func() { a.tell("%s\n", now().text(0)) }, func() { _ = a.printJSON(a.err, now()) }, func(width int) string { return now().text(width) })
	return func(d, t int64) {
		done.Store(d)
		total.Store(t)
	}, end
}

// busy shows on a terminal that something is being done whose progress is not known, until the function is called that it returns.
func (a *app) busy(what string) func() {
	if !terminal(a.err) || a.json() {
		return func() {}
	}
	_, end := a.progress(what)
	return end
}

// repeat calls what prints a sign again and again, until the function is called that it returns.
func (a *app) repeat(text, object func(), line func(width int) string) func() {
	show, first, every, end := text, firstSign, signEvery, func() {}
	switch {
	case a.json():
		show = object
	case terminal(a.err):
		first, every = drawEvery, drawEvery
		show = func() { a.showStatus(line(columns(a.err))) }
		end = func() { a.showStatus("") }
		show()
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		timer := time.NewTimer(first)
		defer timer.Stop()
		for {
			select {
			case <-stop:
				return
			case <-timer.C:
				show()
				timer.Reset(every)
			}
		}
	})
	return sync.OnceFunc(func() {
		close(stop)
		wg.Wait()
		end()
	})
}
