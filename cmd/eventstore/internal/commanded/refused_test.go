package commanded_test

import (
	"context"
	"crypto/md5"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded/commandedtest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
	"github.com/eventstore-go/eventstore/store"
)

// refused is a run that must fail, and must write nothing.
func refused(t *testing.T, from *commandedtest.Store, d *database.Database, names commanded.Options, o transfer.FollowOptions) error {
	t.Helper()
	s := open(t.Context(), t, from, names)
	defer func() { require.NoError(t, s.Close()) }()
	before := commandedtest.OfTarget(t, d)
	o.After = func() { t.Error("it has written") }
	_, err := transfer.Follow(t.Context(), d, s, o)
	require.Error(t, err)
	require.Equal(t, before, commandedtest.OfTarget(t, d))
	return err
}

// TestFollowOther: a store follows one source, and takes nothing else.
func TestFollowOther(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		from := commandedtest.Empty(t, commandedtest.JSON, "public", "timestamptz")
		require.NoError(t, from.Append(t.Context(), "a", ids(3)...))
		follow(t, from, d, transfer.FollowOptions{})

		elsewhere := commandedtest.Empty(t, commandedtest.JSON, "public", "timestamptz")
		require.NoError(t, elsewhere.Append(t.Context(), "a", ids(5)...))
		err := refused(t, elsewhere, d, commanded.Options{}, transfer.FollowOptions{})
		require.ErrorIs(t, err, transfer.ErrOther)
		assert.Contains(t, err.Error(), from.Location.Name(), "says which one it follows")
		assert.Contains(t, err.Error(), elsewhere.Location.Name(), "and which one is given")

		// Writes past the import.
		es := store.New(d.Backend, &store.Options{HardDelete: true})
		defer func() { require.NoError(t, es.Close()) }()
		_, err = es.Append(t.Context(), "a", store.Any, store.Event{Type: "New", Data: 1})
		require.ErrorIs(t, err, store.ErrImporting)
		require.ErrorIs(t, es.Delete(t.Context(), "a", store.Any, store.HardDelete), store.ErrImporting)
		require.ErrorIs(t, es.RecordSnapshot(t.Context(), store.Snapshot{SourceID: "a", Version: 1, Type: "T", Data: 1}), store.ErrImporting)

		// The same source, set back to before what was read, with other events since.
		from.Exec(t, `truncate /*schema.*/stream_events, /*schema.*/events, /*schema.*/streams`)
		from.Exec(t, `insert into /*schema.*/streams (stream_id, stream_uuid, stream_version) values (0, '$all', 0)`)
		err = refused(t, from, d, commanded.Options{}, transfer.FollowOptions{})
		require.ErrorIs(t, err, transfer.ErrOther, "its head is lower")
		require.NoError(t, from.Append(t.Context(), "a", ids(9)...))
		err = refused(t, from, d, commanded.Options{}, transfer.FollowOptions{})
		require.ErrorIs(t, err, transfer.ErrOther, "another event is at the last position")
		assert.Contains(t, err.Error(), "restored, or failed over")

		u, err := transfer.Abandon(t.Context(), d)
		require.NoError(t, err)
		assert.EqualValues(t, 3, u.Header.Head)
		follow(t, from, d, transfer.FollowOptions{Finish: true})
		finished(t, from, d)
	})
}

// TestFollowNotEmpty: positions can't be the source's where there are some already; nor does a store follow whose import is unfinished
// otherwise.
func TestFollowNotEmpty(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		from := commandedtest.Empty(t, commandedtest.JSON, "public", "timestamptz")
		es := store.New(d.Backend, nil)
		defer func() { require.NoError(t, es.Close()) }()
		_, err := es.Append(t.Context(), "a", store.Any, store.Event{Type: "New", Data: 1})
		require.NoError(t, err)
		require.ErrorIs(t, refused(t, from, d, commanded.Options{}, transfer.FollowOptions{}), transfer.ErrNotEmpty)
	})
}

// TestFollowMoved: while the source is written to, the store does not leave it, and goes on when told again.
func TestFollowMoved(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		from := commandedtest.Empty(t, commandedtest.JSON, "public", "timestamptz")
		require.NoError(t, from.Append(t.Context(), "a", ids(3)...))
		s := open(t.Context(), t, from, commanded.Options{})
		defer func() { require.NoError(t, s.Close()) }()
		looks := 0
		_, err := transfer.Follow(t.Context(), d, s, transfer.FollowOptions{Finish: true, Behind: func(position, head int64) {
			if looks++; looks == 2 { // behind the last look, before the end
				assert.Equal(t, head, position)
				require.NoError(t, from.Append(t.Context(), "a", ids(2)...))
			}
		}})
		var moved *transfer.MovedError
		require.ErrorAs(t, err, &moved)
		assert.Equal(t, transfer.MovedError{Read: 3, Head: 5}, *moved)
		same3, err := transfer.Find(t.Context(), d)
		require.NoError(t, err)
		require.NotNil(t, same3, "the store follows it still")
		follow(t, from, d, transfer.FollowOptions{Finish: true})
		finished(t, from, d)
	})
}

// TestFollowNames: names are kept from run to run; those that come later are refused until they are given; and what was imported
// keeps its name.
func TestFollowNames(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		from := strangeNames(t)
		run := func(o commanded.Options, f transfer.FollowOptions) error {
			s := open(t.Context(), t, from, o)
			defer func() { require.NoError(t, s.Close()) }()
			_, err := transfer.Follow(t.Context(), d, s, f)
			return err
		}
		var unfit *commanded.NamesError
		require.ErrorAs(t, refused(t, from, d, commanded.Options{}, transfer.FollowOptions{}), &unfit)
		given := commanded.Options{Rename: []string{"$a=a"}, Skip: []string{"$b"}}
		require.NoError(t, run(given, transfer.FollowOptions{}))

		ctx := t.Context()
		require.NoError(t, then(from.Append(ctx, "$a", ids(2)...), from.Append(ctx, "$b", ids(2)...), from.Snapshot(ctx, "$a", 1, `{"v":2}`)))
		require.NoError(t, run(commanded.Options{}, transfer.FollowOptions{}), "names are known from before")

		require.NoError(t, from.Append(ctx, "$c", ids(1)...))
		require.ErrorAs(t, refused(t, from, d, commanded.Options{}, transfer.FollowOptions{}), &unfit)
		require.ErrorIs(t, refused(t, from, d, commanded.Options{Rename: []string{"$c=c", "fine=other"}}, transfer.FollowOptions{}), transfer.ErrTaken)
		var mapping *commanded.MappingError
		require.ErrorAs(t, refused(t, from, d, commanded.Options{Rename: []string{"$c=a"}}, transfer.FollowOptions{}), &mapping)
		require.NoError(t, run(commanded.Options{Rename: []string{"$c=c"}}, transfer.FollowOptions{}))

		require.NoError(t, from.HardDelete(ctx, "$a"))
		require.NoError(t, from.Append(ctx, "$a", ids(1)...))
		require.NoError(t, run(commanded.Options{}, transfer.FollowOptions{Finish: true}))
		got := commandedtest.OfTarget(t, d)
		var streams []string
		for _, row := range got.Rows {
			cells := parts(row)
			streams = append(streams, cells[0]+" "+cells[1])
		}
		assert.Equal(t, []string{"a 1", "c 1", "fine 1", "links 2"}, slices.Sorted(slices.Values(streams)))
		assert.Equal(t, []string{"a,s,0", "fine,s,1"}, got.Subscriptions)
		require.Len(t, got.Snapshots, 1)
		assert.Contains(t, got.Snapshots[0], "a,1,State,")
		assert.Contains(t, got.Snapshots[0], fmt.Sprintf("%x", md5.Sum([]byte(`{"v":2}`))))
	})
}

func strangeNames(t *testing.T) *commandedtest.Store {
	t.Helper()
	from := commandedtest.Empty(t, commandedtest.JSON, "public", "timestamptz")
	events := ids(6)
	ctx := t.Context()
	require.NoError(t, then(
		from.Append(ctx, "$a", events[:2]...), from.Append(ctx, "$b", events[2:4]...), from.Append(ctx, "fine", events[4]),
		from.Link(ctx, "links", events[2], events[4]), from.Snapshot(ctx, "$a", 1, `{"v":1}`), from.Snapshot(ctx, "$b", 1, `{}`),
		from.Acknowledge(ctx, "$a", "s", 2), from.Acknowledge(ctx, "$b", "s", 2), from.Acknowledge(ctx, "fine", "s", 1),
	))
	return from
}

// TestFollowNotJSON: what the columns of the store refuse is refused before the first write.
func TestFollowNotJSON(t *testing.T) {
	t.Parallel()
	for _, e := range []commandedtest.Encoding{commandedtest.Terms, commandedtest.JSON} { // which has NUL escapes
		d := databasetest.NewOf(t, database.PostgreSQL, "jsonb")
		from := commandedtest.Written(t, e)
		require.ErrorIs(t, refused(t, from, d, commanded.Options{}, transfer.FollowOptions{}), transfer.ErrNotJSON)
		u, err := transfer.Find(t.Context(), d)
		require.NoError(t, err)
		require.Nil(t, u)
	}
	from := commandedtest.Written(t, commandedtest.JSONB)
	d := databasetest.NewOf(t, database.PostgreSQL, "jsonb")
	follow(t, from, d, transfer.FollowOptions{Finish: true})
	finished(t, from, d)
}

// TestFollowJSON: columns of type json take what jsonb refuses, which is found before the first write.
func TestFollowJSON(t *testing.T) {
	t.Parallel()
	from := jsonSource(t, `{"a":"\u0000"}`)
	d := databasetest.NewOf(t, database.PostgreSQL, "jsonb")
	require.ErrorIs(t, refused(t, from, d, commanded.Options{}, transfer.FollowOptions{}), transfer.ErrNotJSON)
	u, err := transfer.Find(t.Context(), d)
	require.NoError(t, err)
	require.Nil(t, u)
	d = databasetest.NewOf(t, database.PostgreSQL, "json")
	follow(t, from, d, transfer.FollowOptions{Finish: true})
	finished(t, from, d)
}

// TestFollowJSONBSize: what is longer as jsonb returns it than may be read back is refused, also behind the first run.
func TestFollowJSONBSize(t *testing.T) {
	t.Parallel()
	long := "[" + strings.Repeat("1e131071,", 8_200) + "1]"
	d := databasetest.NewOf(t, database.PostgreSQL, "jsonb")
	require.ErrorIs(t, refused(t, jsonSource(t, long), d, commanded.Options{}, transfer.FollowOptions{}), store.ErrInvalid)

	from := jsonSource(t, "1")
	follow(t, from, d, transfer.FollowOptions{})
	put(t, from, long)
	err := refused(t, from, d, commanded.Options{}, transfer.FollowOptions{})
	require.ErrorIs(t, err, store.ErrInvalid)
	require.ErrorContains(t, err, `position 3, version 3 of "a"`)
}

// jsonSource is a source whose columns for data are json. Its second event has the data.
func jsonSource(t *testing.T, data string) *commandedtest.Store {
	t.Helper()
	from := commandedtest.EmptyOf(t, "json", "public", "timestamptz")
	require.NoError(t, from.Append(t.Context(), "a", ids(1)...))
	put(t, from, data)
	return from
}

// put appends an event with the data to "a".
func put(t *testing.T, from *commandedtest.Store, data string) {
	t.Helper()
	id := ids(1)
	require.NoError(t, from.Append(t.Context(), "a", id...))
	from.Exec(t, `alter table /*schema.*/events disable trigger no_update_events`)
	from.Exec(t, `update /*schema.*/events set data = $1::text::json where event_id = $2::text::uuid`, data, id[0].String())
	from.Exec(t, `alter table /*schema.*/events enable trigger no_update_events`)
}

// TestFollowTwice: of two processes that follow at once, one is refused, and nothing comes twice.
func TestFollowTwice(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		from := commandedtest.Empty(t, commandedtest.JSON, "public", "timestamptz")
		require.NoError(t, from.Append(t.Context(), "a", ids(100)...))
		s := open(t.Context(), t, from, commanded.Options{})
		defer func() { require.NoError(t, s.Close()) }()
		n := 0
		_, err := transfer.Follow(t.Context(), d, s, transfer.FollowOptions{Batch: 10, After: func() {
			if n++; n == 3 {
				follow(t, from, d, transfer.FollowOptions{Batch: 10})
			}
		}})
		require.ErrorIs(t, err, transfer.ErrOther)
		follow(t, from, d, transfer.FollowOptions{Finish: true})
		finished(t, from, d)
	})
}

// standby answers with a moment of before, in which the source had no stream.
type standby struct{ *commanded.Source }

func (s *standby) Moment(ctx context.Context, f func(ctx context.Context, m archive.Moment) error) error {
	return s.Source.Moment(ctx, func(ctx context.Context, m archive.Moment) error { return f(ctx, before{m}) })
}

type before struct{ archive.Moment }

func (before) Head() int64                                                { return 3 }
func (before) Streams(context.Context, func(*archive.Stream) error) error { return nil }

// TestFollowLags: a standby that lags, among several that answer in turn, removes nothing.
func TestFollowLags(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		from := commandedtest.Empty(t, commandedtest.JSON, "public", "timestamptz")
		require.NoError(t, from.Append(t.Context(), "a", ids(3)...))
		s := open(t.Context(), t, from, commanded.Options{})
		defer func() { require.NoError(t, s.Close()) }()
		follow(t, from, d, transfer.FollowOptions{})
		require.NoError(t, from.Append(t.Context(), "b", ids(3)...))
		follow(t, from, d, transfer.FollowOptions{})
		_, err := transfer.Follow(t.Context(), d, &standby{Source: s}, transfer.FollowOptions{})
		require.ErrorIs(t, err, transfer.ErrBehind)
		same(t, from, d)
	})
}
