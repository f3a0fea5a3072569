package conformance

import (
	"context"
	"sync/atomic"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

// In these cases another transaction commits while a call runs: behind its first statement, then, in a call of its own, behind
// its second, and so on.
var betweenCases = []testCase{
	{name: "between/read-created", tx: besideTx, run: betweenCreated, why: "a stream that is created while it is read is absent or there, never there without its events"},
	{name: "between/read-replaced", tx: besideTx, run: betweenReplaced, why: "to a reader, a stream that one transaction deletes and writes anew is the old one or the new one: it is never gone"},
	{name: "between/read-replaced-links", tx: besideTx, run: betweenReplacedLinks, why: "to a reader, a stream of links that one transaction deletes and writes anew is the old one or the new one"},
}

func betweenCreated(f *fixture) { f.betweenReads(nil) }

func betweenReplaced(f *fixture) {
	f.betweenReads(func(stream string) { f.fill(stream, 2) })
}

func betweenReplacedLinks(f *fixture) {
	source := f.fill("source", 2)
	f.betweenReads(func(stream string) { f.link(stream, store.NoStream, source...) })
}

// betweenReads reads a stream while another of its name appears, instead of the one that prepare makes, if it isn't nil.
func (f *fixture) betweenReads(prepare func(stream string)) {
	for stream, opts := range map[string]*store.ReadOptions{"forward": nil, "backward": {Backward: true}} {
		for n := int64(1); ; n++ {
			var was []store.Recorded
			if prepare != nil {
				prepare(stream)
				was = f.read(stream, opts)
			}
			changed := false
			page, err := f.es.Page(f.between(n, func() {
				changed = true
				f.within(func(in *fixture) {
					if prepare != nil {
						in.removed(stream, store.HardDelete)
					}
					in.append(stream, store.NoStream, events(1)...)
				})
			}), stream, opts)
			if !changed {
				require.Greater(f, n, int64(1), "nobody asked for the context's values")
				break
			}
			if prepare == nil && err != nil {
				assert.ErrorIs(f, err, store.ErrStreamNotFound, "%s, statement %d", stream, n)
			} else if assert.NoError(f, err, "%s, statement %d", stream, n) && (prepare == nil || !assert.ObjectsAreEqual(was, page)) {
				assert.Equal(f, f.read(stream, opts), page, "%s, statement %d", stream, n)
			}
			f.delete(stream, store.HardDelete)
		}
	}
}

// between returns a context that calls do the n-th time that it is asked for a value. As database/sql derives a context from it
// for what a statement returns, that is when the statement has been run, and before the next one.
func (f *fixture) between(n int64, do func()) context.Context {
	c := &betweenContext{Context: f.ctx, do: do}
	c.left.Store(n)
	return c
}

type betweenContext struct {
	context.Context
	left atomic.Int64
	do   func()
}

func (c *betweenContext) Value(key any) any {
	if c.left.Add(-1) == 0 {
		c.do()
	}
	return c.Context.Value(key)
}
