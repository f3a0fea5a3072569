package conformance

import (
	"fmt"
	"sync"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

// This file holds the races of links and deletes, among themselves and with appends.

func concurrentLinkAny(f *fixture) {
	source := f.fill("source", 2*callers)
	f.each(func(stream string) {
		for round := range 2 {
			f.allWin(together(callers, func(i int) error {
				_, err := f.es.Link(f.ctx, stream, store.Any, source[round*callers+i].ID)
				return err
			}))
		}
		f.noGaps(stream, 2*callers)
	})
}

func concurrentLinkVersion(f *fixture) {
	source := f.fill("source", 3*callers)
	f.each(func(stream string) {
		for round := range 3 {
			f.oneWins(together(callers, func(i int) error {
				_, err := f.es.Link(f.ctx, stream, store.Version(int64(round)), source[round*callers+i].ID)
				return err
			}), store.ErrWrongExpectedVersion)
		}
		f.noGaps(stream, 3)
	})
}

func concurrentLinkSame(f *fixture) {
	source := f.fill("source", 2)
	f.each(func(stream string) {
		f.oneWins(together(callers, func(int) error {
			_, err := f.es.Link(f.ctx, stream, store.Any, store.IDs(source...)...)
			return err
		}), store.ErrDuplicateEvent)
		f.noGaps(stream, 2)
	})
}

func concurrentLinkDelete(f *fixture) {
	f.duel(func(stream string) (remove, link func() error) {
		source := f.fill(stream, 3)
		return func() error { return f.es.Delete(f.ctx, stream, store.Any, store.HardDelete) }, func() error {
			_, err := f.es.Link(f.ctx, "links to "+stream, store.Any, store.IDs(source...)...)
			return err
		}
	}, func(stream string, removed, linked error) {
		require.NoError(f, removed)
		links := "links to " + stream
		if linked != nil {
			require.ErrorIs(f, linked, store.ErrEventNotFound)
			_, err := f.es.StreamInfo(f.ctx, links)
			require.ErrorIs(f, err, store.ErrStreamNotFound)
			return
		}
		assert.Empty(f, f.read(links, nil))
		assert.Equal(f, int64(3), f.info(links).Version)
	})
}

func concurrentDelete(f *fixture) {
	for kind, lost := range map[store.DeleteKind]error{store.SoftDelete: store.ErrStreamDeleted, store.HardDelete: store.ErrStreamNotFound} {
		f.each(func(stream string) {
			stream = fmt.Sprint(stream, " of kind ", kind)
			f.fill(stream, 2)
			f.oneWins(together(callers, func(int) error { return f.es.Delete(f.ctx, stream, store.Any, kind) }), lost)
		})
	}
}

func concurrentDeleteVersion(f *fixture) {
	for _, kind := range []store.DeleteKind{store.SoftDelete, store.HardDelete} {
		f.duel(func(round string) (remove, add func() error) {
			stream := fmt.Sprint(round, " of kind ", kind)
			f.fill(stream, 2)
			return func() error { return f.es.Delete(f.ctx, stream, store.Version(2), kind) },
				func() error { return f.appendErr(stream, store.Version(2), 1) }
		}, func(round string, removed, added error) {
			require.False(f, removed == nil && added == nil, "both won")
			require.False(f, removed != nil && added != nil, "both lost: %v, %v", removed, added)
			if removed != nil {
				assert.ErrorIs(f, removed, store.ErrWrongExpectedVersion)
				f.noGaps(fmt.Sprint(round, " of kind ", kind), 3)
			}
		})
	}
}

func concurrentSoftDelete(f *fixture) {
	f.each(func(stream string) {
		f.fill(stream, 1)
		var mu sync.Mutex
		written := int64(1)
		errs := together(callers, func(i int) error {
			if i == 0 {
				return f.es.Delete(f.ctx, stream, store.Any, store.SoftDelete)
			}
			for range 50 {
				if _, err := f.es.Append(f.ctx, stream, store.Any, events(1)...); err != nil {
					return err
				}
				mu.Lock()
				written++
				mu.Unlock()
			}
			return nil
		})
		require.NoError(f, errs[0])
		for _, err := range errs[1:] {
			if err != nil {
				assert.ErrorIs(f, err, store.ErrStreamDeleted)
			}
		}
		assert.ErrorIs(f, f.appendErr(stream, store.Any, 1), store.ErrStreamDeleted)
		assert.Equal(f, written, f.info(stream).Version, "each append that succeeded, and no other")
		count := int64(0)
		for _, e := range f.all() {
			if e.Stream == stream {
				count++
			}
		}
		assert.Equal(f, written, count, "in $all")
	})
}

func concurrentHardDelete(f *fixture) {
	f.each(func(stream string) {
		f.fill(stream, 3)
		errs := together(callers, func(i int) error {
			if i == 0 {
				return f.es.Delete(f.ctx, stream, store.Any, store.HardDelete)
			}
			for range 5 {
				if err := f.appendErr(stream, store.Any, 2); err != nil {
					return err
				}
			}
			return nil
		})
		f.allWin(errs)
		require.NoError(f, f.appendErr(stream, store.Any, 2), "the stream may be gone, or not")
	})
	seen := map[string]int64{}
	for _, e := range f.all() {
		seen[e.Stream]++
		assert.Equal(f, seen[e.Stream], e.Version, "%q", e.Stream)
	}
	for stream, n := range seen {
		f.noGaps(stream, n)
		assert.Equal(f, n, f.info(stream).Version)
	}
}
