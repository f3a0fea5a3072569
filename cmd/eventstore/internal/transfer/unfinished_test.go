package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// half imports an archive up to the given batch of events, and no further.
func half(tb testing.TB, d *database.Database, path string, batches int, merge bool) {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	defer cancel()
	_, err := transfer.Import(ctx, d, path, transfer.ImportOptions{Batch: 2, Merge: merge, Progress: func(int64, int64) {
		if batches--; batches == 0 {
			cancel()
		}
	}})
	require.ErrorIs(tb, err, context.Canceled)
}

// TestGuard: while an import is unfinished, the library refuses every write, and says why.
func TestGuard(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		s := open(t, databasetest.New(t, database.SQLite))
		s.fill()
		path := exported(t, s.d)
		half(t, d, path, 3, false)
		es := open(t, d)
		writes(t, es, "a", store.ErrImporting)
		writes(t, es, "a new one", store.ErrImporting)
		tx, err := d.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = es.WithTx(tx).Append(t.Context(), "a", store.Any, store.Event{Type: "x", Data: 1})
		require.ErrorIs(t, err, store.ErrImporting)
		require.NoError(t, tx.Rollback())

		u, err := transfer.Find(t.Context(), d)
		require.NoError(t, err)
		require.NotNil(t, u)
		assert.Equal(t, headerOf(t, path), u.Header)
		assert.WithinDuration(t, time.Now(), u.Begun, time.Minute)

		_, err = transfer.Import(t.Context(), d, path, transfer.ImportOptions{})
		require.NoError(t, err)
		u, err = transfer.Find(t.Context(), d)
		require.NoError(t, err)
		assert.Nil(t, u)
		sound(t, d)
		writes(t, es, "a", nil)
		writes(t, es, "a new one", nil)
	})
}

// writes tries every write to a stream.
func writes(t *testing.T, es *shop, stream string, want error) {
	t.Helper()
	ctx := t.Context()
	event := store.Event{Type: "x", Data: 1}
	list := map[string]func() error{
		"append": func() error { _, err := es.Append(ctx, stream, store.Any, event); return err },
		"append many": func() error {
			_, err := es.Append(ctx, stream, store.Any, event, event, event)
			return err
		},
		"snapshot": func() error {
			return es.RecordSnapshot(ctx, store.Snapshot{SourceID: stream, Version: 99, Type: "x", Data: 1})
		},
		"subscribe": func() error {
			sub, err := es.Subscribe(ctx, stream, fmt.Sprintf("of %s", t.Name()), nil)
			if err != nil {
				return err
			}
			if want != nil { // it waits for the end of the import
				require.Eventually(t, func() bool {
					err = sub.State().Err
					return err != nil
				}, time.Minute, time.Millisecond)
			}
			return errors.Join(err, sub.Close())
		},
	}
	for name, write := range list {
		err := write()
		if want == nil {
			require.NoError(t, err, "%s to %s", name, stream)
			continue
		}
		require.ErrorIs(t, err, want, "%s to %s", name, stream)
	}
	if want == nil {
		return
	}
	require.ErrorIs(t, es.Delete(ctx, "a", store.Any, store.SoftDelete), want)
	require.ErrorIs(t, es.Delete(ctx, "a", store.Any, store.HardDelete), want)
}

// TestGuardOfMerge: while a merge is unfinished, the streams that it brings are refused, and the others go on.
func TestGuardOfMerge(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		s := open(t, databasetest.New(t, database.PostgreSQL))
		s.fill()
		path := exported(t, s.d)
		es := open(t, d)
		ids := es.append("mine", 3)
		half(t, d, path, 3, true)
		writes(t, es, "a", store.ErrImporting)
		writes(t, es, "mine", nil)
		writes(t, es, "my new one", nil)
		_, err := es.Link(t.Context(), "links", store.Any, ids[0])
		require.ErrorIs(t, err, store.ErrImporting)
		_, err = transfer.Import(t.Context(), d, path, transfer.ImportOptions{Merge: true})
		require.NoError(t, err)
		sound(t, d)
		writes(t, es, "a", nil)
	})
}

// steps interrupts an import after each of its transactions, and calls do with the store as it is then.
func steps(t *testing.T, path string, prepare func() *database.Database, merge bool, do func(d *database.Database)) {
	t.Helper()
	for n := 1; ; n++ {
		d := prepare()
		ctx, cancel := context.WithCancel(t.Context())
		left := n
		_, err := transfer.Import(ctx, d, path, transfer.ImportOptions{Batch: 4, Merge: merge}.WithAfter(func() {
			if left--; left == 0 {
				cancel()
			}
		}))
		cancel()
		if err == nil {
			require.Greater(t, n, 8)
			return
		}
		require.ErrorIs(t, err, context.Canceled)
		do(d)
	}
}

// TestAbandon: what an unfinished import has written is cleared away, at whichever step it ended and without the archive; then
// the same import, and any other, begins anew.
func TestAbandon(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		s := open(t, databasetest.New(t, database.SQLite))
		s.fill()
		path := exported(t, s.d)
		want, head := archived(t, s.d)
		_, err := transfer.Abandon(t.Context(), d)
		require.ErrorIs(t, err, transfer.ErrNoImport)
		before := identity(t, d).StoreID
		steps(t, path, func() *database.Database { return d }, false, func(d *database.Database) {
			u, err := transfer.Abandon(t.Context(), d)
			require.NoError(t, err)
			assert.Equal(t, headerOf(t, path), u.Header)
			lines, head := archived(t, d)
			require.Empty(t, lines)
			require.Zero(t, head)
			sound(t, d)
			require.NotEqual(t, before, identity(t, d).StoreID, "readers of the half store must not take the next one for it")
		})
		have, freshHead := archived(t, d)
		assert.Equal(t, withoutIDs(want), withoutIDs(have), "but for ids of streams, which are not used again")
		assert.Equal(t, head, freshHead)
		sound(t, d)
	})
}

var streamID = regexp.MustCompile(`"stream_id":\d+`)

// withoutIDs returns an archive's lines without the ids of streams.
func withoutIDs(lines []string) (list []string) {
	for _, line := range lines {
		list = append(list, streamID.ReplaceAllString(line, ""))
	}
	return list
}

// TestAbandonMerge: of a merge nothing is left, and what was there before, or came meanwhile, is.
func TestAbandonMerge(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		s := open(t, databasetest.New(t, database.SQLite))
		s.fill()
		path := exported(t, s.d)
		es := open(t, d)
		es.append("mine", 3)
		require.NoError(t, es.RecordSnapshot(t.Context(), store.Snapshot{SourceID: "mine", Version: 3, Type: "sum", Data: 3}))
		es.consume("mine", 2)
		steps(t, path, func() *database.Database { return d }, true, func(d *database.Database) {
			es.append("live", 1)
			before := mine(t, d)
			_, err := transfer.Abandon(t.Context(), d)
			require.NoError(t, err)
			require.Equal(t, before, mine(t, d))
			streams, err := es.Streams(t.Context(), nil)
			require.NoError(t, err)
			require.Len(t, streams.Streams, 2)
			sound(t, d)
			es.append("live", 1)
		})
		sound(t, d)
	})
}

// mine returns what a store has of the streams mine and live.
func mine(tb testing.TB, d *database.Database) (lines []string) {
	tb.Helper()
	lines, _ = archivedStreams(tb, d, "mine", "live")
	return lines
}

// TestAbandonResumed: clearing away that was interrupted goes on, and the import does not meanwhile.
func TestAbandonResumed(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		s := open(t, databasetest.New(t, database.SQLite))
		for i := range 150 {
			s.append(fmt.Sprint("s", i), 1)
		}
		path := exported(t, s.d)
		half(t, d, path, 3, false)
		ctx, cancel := context.WithCancel(t.Context())
		_, err := transfer.AbandonStep(ctx, d, cancel)
		require.ErrorIs(t, err, context.Canceled)
		_, err = transfer.Import(t.Context(), d, path, transfer.ImportOptions{})
		require.ErrorIs(t, err, transfer.ErrOther)
		require.ErrorContains(t, err, "cleared away")
		_, err = transfer.Abandon(t.Context(), d)
		require.NoError(t, err)
		_, err = transfer.Import(t.Context(), d, path, transfer.ImportOptions{})
		require.NoError(t, err)
		sound(t, d)
	})
}

// TestMergeRefused: a merge that is refused leaves nothing behind, and the next import goes ahead.
func TestMergeRefused(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		s := open(t, databasetest.New(t, d.Kind))
		s.fill()
		path := exported(t, s.d)
		es := open(t, d)
		es.append("mine", 1)
		refused := func(want error, names ...string) {
			t.Helper()
			before := mine(t, d)
			_, err := transfer.Import(t.Context(), d, path, transfer.ImportOptions{Merge: true})
			require.ErrorIs(t, err, want)
			for _, name := range names {
				require.ErrorContains(t, err, name)
			}
			u, err := transfer.Find(t.Context(), d)
			require.NoError(t, err)
			require.Nil(t, u)
			require.Equal(t, before, mine(t, d))
			es.append("live", 1)
		}
		es.append("live", 1)
		es.append("s2", 1)
		refused(transfer.ErrTaken, "streams: s2")
		require.NoError(t, es.Delete(t.Context(), "s2", store.Any, store.HardDelete))
		known := uuid.Nil
		for e, err := range s.Stream(t.Context(), "s1", nil) {
			require.NoError(t, err)
			known = e.ID
		}
		_, err := es.Append(t.Context(), "by accident", store.NoStream, store.Event{ID: known, Type: "x", Data: 1})
		require.NoError(t, err)
		refused(transfer.ErrTakenID, known.String()+" in by accident")
		require.NoError(t, es.Delete(t.Context(), "by accident", store.Any, store.HardDelete))
		require.NoError(t, es.RecordSnapshot(t.Context(), store.Snapshot{SourceID: "a", Version: 1, Type: "x", Data: 1}))
		refused(transfer.ErrTaken, "snapshots: a")
		require.NoError(t, es.DeleteSnapshot(t.Context(), "a"))
		require.NoError(t, es.RecordSnapshot(t.Context(), store.Snapshot{SourceID: "s1", Version: 1, Type: "x", Data: 1}))
		refused(transfer.ErrTaken, "snapshots: s1") // clearing away the stream would take it
		require.NoError(t, es.DeleteSnapshot(t.Context(), "s1"))
		sub, err := es.Subscribe(t.Context(), "a", "reader", nil)
		require.NoError(t, err)
		refused(transfer.ErrHeld, "reader on a")
		require.NoError(t, sub.Close())
		_, err = transfer.Import(t.Context(), d, path, transfer.ImportOptions{Merge: true})
		require.NoError(t, err)
		assert.Equal(t, int64(2), checkpoint(t, es, "a", "reader"), "a subscription that had not begun takes the archive's checkpoint")
		sound(t, d)
	})
}

func checkpoint(t *testing.T, es *shop, stream, name string) int64 {
	t.Helper()
	list, err := es.Subscriptions(t.Context())
	require.NoError(t, err)
	for _, s := range list {
		if s.Stream == stream && s.Name == name {
			return s.Checkpoint
		}
	}
	t.Fatalf("there is no subscription %q on %q", name, stream)
	return 0
}

// TestDrop: a store whose import is unfinished is dropped with all that says so, and stays unfinished if that fails.
func TestDrop(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		s := open(t, databasetest.New(t, database.SQLite))
		for range 9 {
			s.append("a", 1)
		}
		path := exported(t, s.d)
		half(t, d, path, 2, false)
		if d.Kind == database.PostgreSQL {
			_, err := d.ExecContext(t.Context(), d.Queries("-- name: q\ncreate view /*schema.*/mine as select stream from /*schema.*/parked").Get("q"))
			require.NoError(t, err)
			_, err = d.Drop(t.Context(), false)
			require.ErrorContains(t, err, "other objects depend on it")
			u, err := transfer.Find(t.Context(), d)
			require.NoError(t, err)
			require.NotNil(t, u)
			_, err = d.Backend.Append(t.Context(), store.AppendRequest{Stream: "b", Expected: store.Any, Events: []store.NewEvent{{ID: uuid.New(), Type: "T"}}})
			require.ErrorIs(t, err, store.ErrImporting)
			_, err = d.ExecContext(t.Context(), d.Queries("-- name: q\ndrop view /*schema.*/mine").Get("q"))
			require.NoError(t, err)
		}
		left, err := d.Drop(t.Context(), false)
		require.NoError(t, err)
		assert.Empty(t, left)
		require.NoError(t, migrate.Up(t.Context(), d.Backend))
		untouched(t, d)
		_, err = transfer.Import(t.Context(), d, path, transfer.ImportOptions{})
		require.NoError(t, err)
	})
}
