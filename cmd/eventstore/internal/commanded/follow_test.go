package commanded_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded/commandedtest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/verify"
	"github.com/eventstore-go/eventstore/store"
)

// open opens a source. Every run has its own, as every run of the command has.
func open(ctx context.Context, t *testing.T, from *commandedtest.Store, o commanded.Options) *commanded.Source {
	t.Helper()
	o.Schema = from.Schema
	s, err := commanded.Open(ctx, from.Location, o)
	require.NoError(t, err)
	return s
}

// follow is one run. Small batches divide what belongs together.
func follow(t *testing.T, from *commandedtest.Store, d *database.Database, o transfer.FollowOptions) transfer.Followed {
	t.Helper()
	s := open(t.Context(), t, from, commanded.Options{})
	defer func() { require.NoError(t, s.Close()) }()
	if o.Batch == 0 {
		o.Batch = 7
	}
	r, err := transfer.Follow(t.Context(), d, s, o)
	require.NoError(t, err)
	return r
}

// same compares all but checkpoints, by SQL alone.
func same(t *testing.T, from *commandedtest.Store, d *database.Database) {
	t.Helper()
	want, got := from.Content(t), commandedtest.OfTarget(t, d)
	require.Equal(t, want.Events, got.Events)
	require.Equal(t, want.Streams, got.Streams)
	require.Equal(t, want.Rows, got.Rows)
	require.Equal(t, want.Snapshots, got.Snapshots)
}

// finished checks a store that does not follow its source any more.
func finished(t *testing.T, from *commandedtest.Store, d *database.Database) {
	t.Helper()
	same(t, from, d)
	require.Equal(t, checkpoints(from.Content(t).Subscriptions), commandedtest.OfTarget(t, d).Subscriptions)
	_, err := verify.Run(t.Context(), d, func(v verify.Violation) error {
		t.Errorf("%s: %s", v.Check, v.What)
		return nil
	})
	require.NoError(t, err)
	es := store.New(d.Backend, nil)
	defer func() { require.NoError(t, es.Close()) }()
	var head int64
	from.Number(t, `select stream_version from /*schema.*/streams where stream_id = 0`, &head)
	have, err := es.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, head, have)
	_, err = es.Append(t.Context(), "after all", store.NoStream, store.Event{Type: "New", Data: 1})
	require.NoError(t, err)
	have, err = es.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, head+1, have)
	var highest, id int64
	from.Number(t, `select max(stream_id) from /*schema.*/streams`, &highest)
	require.NoError(t, d.QueryRowContext(t.Context(), d.Queries("-- name: id\nselect max(stream_id) from /*schema.*//*prefix*/streams").Get("id")).Scan(&id))
	info, err := es.StreamInfo(t.Context(), "after all")
	require.NoError(t, err)
	require.Equal(t, id, info.ID)
	require.Greater(t, id, highest, "an id of a stream is not used again")
}

// step is something that changes in the source between two runs.
type step struct {
	name string
	do   func(ctx context.Context, s *commandedtest.Store) error
	// also is checked of the run behind it, unless it is nil.
	also func(t *testing.T, r transfer.Followed)
}

var ids = commandedtest.NewIDs

// then does one thing after the other.
func then(list ...error) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}

// steps go one after the other on one store.
func steps() []step {
	own := ids(30)
	return []step{
		{name: "nothing", do: func(context.Context, *commandedtest.Store) error { return nil }, also: func(t *testing.T, r transfer.Followed) {
			t.Helper()
			assert.Zero(t, r.Counts, "nothing is written again")
		}},
		{name: "events of streams old and new", do: func(ctx context.Context, s *commandedtest.Store) error {
			return then(s.Append(ctx, "n-1", own[:10]...), s.Append(ctx, "mixed-1", own[10:12]...), s.Append(ctx, "n-2", own[12:20]...))
		}, also: func(t *testing.T, r transfer.Followed) {
			t.Helper()
			assert.EqualValues(t, 20, r.Events)
			assert.EqualValues(t, 3, r.Streams)
		}},
		{name: "links alone, to old events and new", do: func(ctx context.Context, s *commandedtest.Store) error {
			return then(s.Link(ctx, "l-1", own[:9]...), s.Link(ctx, "n-2", own[3]), s.Append(ctx, "n-2", own[20:22]...), s.Link(ctx, "n-2", own[4], own[5]))
		}, also: func(t *testing.T, r transfer.Followed) {
			t.Helper()
			assert.EqualValues(t, 12, r.Links)
		}},
		{name: "an empty stream, and a link that leaves a hole", do: func(ctx context.Context, s *commandedtest.Store) error {
			return then(s.Link(ctx, "empty"), s.Link(ctx, "l-1", own[9], uuid.New(), own[10]), s.Link(ctx, "l-2", uuid.New()))
		}},
		{name: "soft deletes", do: func(ctx context.Context, s *commandedtest.Store) error {
			return then(s.SoftDelete(ctx, "n-1"), s.SoftDelete(ctx, "l-2"))
		}},
		{name: "a hard delete, with links to its events elsewhere", do: func(ctx context.Context, s *commandedtest.Store) error {
			return s.HardDelete(ctx, "n-1")
		}, also: func(t *testing.T, r transfer.Followed) {
			t.Helper()
			assert.EqualValues(t, 1, r.Gone)
		}},
		{name: "a hard delete of the last event of all", do: func(ctx context.Context, s *commandedtest.Store) error {
			return then(s.Append(ctx, "tail", ids(3)...), s.HardDelete(ctx, "tail"))
		}},
		{name: "events behind that", do: func(ctx context.Context, s *commandedtest.Store) error { return s.Append(ctx, "tail", ids(2)...) }},
		{name: "a hard delete of the last event, which was read", do: func(ctx context.Context, s *commandedtest.Store) error {
			return s.HardDelete(ctx, "tail")
		}},
		{name: "a stream that began anew", do: func(ctx context.Context, s *commandedtest.Store) error {
			return then(s.HardDelete(ctx, "n-2"), s.Append(ctx, "n-2", own[22:25]...), s.Append(ctx, "tail", ids(1)...))
		}},
		{name: "a stream that is to begin anew", do: func(ctx context.Context, s *commandedtest.Store) error {
			return s.Append(ctx, "again", ids(3)...)
		}},
		{name: "with more events than a transaction writes", do: func(ctx context.Context, s *commandedtest.Store) error {
			return then(s.HardDelete(ctx, "again"), s.Append(ctx, "again", ids(20)...))
		}, also: func(t *testing.T, r transfer.Followed) {
			t.Helper()
			assert.EqualValues(t, 1, r.Gone)
		}},
		{name: "streams that began anew as one of links, and as an empty one", do: func(ctx context.Context, s *commandedtest.Store) error {
			return then(s.HardDelete(ctx, "tail"), s.Link(ctx, "tail", own[22]), s.HardDelete(ctx, "empty"), s.Link(ctx, "empty"))
		}},
		{name: "a hard delete that takes the events that the stream links to", do: func(ctx context.Context, s *commandedtest.Store) error {
			return then(s.Append(ctx, "taken", own[25:30]...), s.Link(ctx, "keeps", own[25], own[26]), s.Link(ctx, "takes", own[25], own[27]))
		}},
		{name: "which it did", do: func(ctx context.Context, s *commandedtest.Store) error { return s.HardDelete(ctx, "takes") },
			also: func(t *testing.T, r transfer.Followed) {
				t.Helper()
				assert.EqualValues(t, 2, r.Removed)
				assert.EqualValues(t, 1, r.Gone)
			}},
		{name: "the same by a stream that no run saw", do: func(ctx context.Context, s *commandedtest.Store) error {
			return then(s.Link(ctx, "unseen", own[28], own[29]), s.HardDelete(ctx, "unseen"))
		}, also: func(t *testing.T, r transfer.Followed) {
			t.Helper()
			assert.EqualValues(t, 2, r.Removed)
			assert.Zero(t, r.Gone)
		}},
		{name: "snapshots, new and changed", do: func(ctx context.Context, s *commandedtest.Store) error {
			return then(s.Snapshot(ctx, "snap-1", 1, `{"a":1}`), s.Snapshot(ctx, "snap-2", 1, `{}`), s.Snapshot(ctx, "n-2", 3, `{}`))
		}, also: func(t *testing.T, r transfer.Followed) {
			t.Helper()
			assert.EqualValues(t, 3, r.Snapshots)
		}},
		{name: "a snapshot changed at the same version, one deleted, one of a stream that is gone", do: func(ctx context.Context, s *commandedtest.Store) error {
			return then(s.Snapshot(ctx, "snap-1", 1, `{"a":2}`), s.DeleteSnapshot(ctx, "snap-2"), s.HardDelete(ctx, "n-2"))
		}},
		{name: "checkpoints", do: func(ctx context.Context, s *commandedtest.Store) error {
			return then(s.Acknowledge(ctx, "$all", "all-77", 99), s.Acknowledge(ctx, "keeps", "new", 1), s.DeleteSubscription(ctx, "bulk-1", "bulk"))
		}},
	}
}

// TestFollow: each run takes what is new since the one before, whatever that is.
func TestFollow(t *testing.T) {
	t.Parallel()
	for _, e := range []commandedtest.Encoding{commandedtest.JSON, commandedtest.JSONB} {
		databasetest.Each(t, func(t *testing.T, d *database.Database) {
			from := commandedtest.Written(t, e)
			first := follow(t, from, d, transfer.FollowOptions{})
			same(t, from, d)
			require.EqualValues(t, len(commandedtest.Expected(t, e)), first.Events)
			require.Equal(t, want(t, from), first.Head)
			for _, s := range steps() {
				require.NoError(t, s.do(t.Context(), from), s.name)
				r := follow(t, from, d, transfer.FollowOptions{})
				same(t, from, d)
				if s.also != nil {
					s.also(t, r)
				}
				if t.Failed() {
					t.Fatal(s.name)
				}
			}
			_, err := store.New(d.Backend, nil).Append(t.Context(), "n", store.Any, store.Event{Type: "New", Data: 1})
			require.ErrorIs(t, err, store.ErrImporting)
			require.True(t, follow(t, from, d, transfer.FollowOptions{Finish: true}).Finished)
			finished(t, from, d)
		})
	}
}

// TestFollowAtOnce: all steps between two runs.
func TestFollowAtOnce(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		from := commandedtest.Written(t, commandedtest.Terms)
		follow(t, from, d, transfer.FollowOptions{})
		for _, s := range steps() {
			require.NoError(t, s.do(t.Context(), from), s.name)
		}
		follow(t, from, d, transfer.FollowOptions{Finish: true})
		finished(t, from, d)
	})
}

// TestFollowBesideAnOpenTransaction: while a transaction of the source's server stays open, each run reads the same snapshots again. It
// counts those that are new or have changed, and each format once.
func TestFollowBesideAnOpenTransaction(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		from := commandedtest.Written(t, commandedtest.Terms)
		held, err := from.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer held.Rollback() //nolint:errcheck // it wrote nothing
		_, err = held.ExecContext(t.Context(), "select pg_current_xact_id()")
		require.NoError(t, err)

		s := open(t.Context(), t, from, commanded.Options{})
		defer func() { require.NoError(t, s.Close()) }()
		run := func() transfer.Followed {
			r, err := transfer.Follow(t.Context(), d, s, transfer.FollowOptions{})
			require.NoError(t, err)
			same(t, from, d)
			return r
		}
		first := run()
		require.EqualValues(t, 21, first.Snapshots)
		terms := s.Summary().ErlangTerms
		require.Zero(t, run().Snapshots, "snapshots that are as they were")
		require.Equal(t, terms, s.Summary().ErlangTerms)
		require.NoError(t, then(from.Snapshot(t.Context(), "snap-1", 1, `{}`), from.Snapshot(t.Context(), "snap-2", 1, `{}`)))
		from.Exec(t, `update /*schema.*/snapshots set data = '\x836a' where source_uuid = 'snap-2'`)
		require.EqualValues(t, 2, run().Snapshots)
		require.Equal(t, terms+1, s.Summary().ErlangTerms)
		require.NoError(t, from.Snapshot(t.Context(), "snap-2", 2, `{}`))
		require.EqualValues(t, 1, run().Snapshots)
		require.Equal(t, terms, s.Summary().ErlangTerms)
	})
}

// want is the head of a source.
func want(t *testing.T, from *commandedtest.Store) (head int64) {
	t.Helper()
	from.Number(t, `select stream_version from /*schema.*/streams where stream_id = 0`, &head)
	return head
}

// parts are the cells of a line whose name has no comma.
func parts(line string) []string { return strings.Split(line, ",") }
