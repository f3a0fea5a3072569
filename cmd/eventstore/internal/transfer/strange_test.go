package transfer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
	"github.com/eventstore-go/eventstore/store"
)

// given is a source that a test has made up.
type given struct {
	front  []any // but the header
	events []archive.Event
}

func (g given) Identity(context.Context) (archive.Identity, error) {
	return archive.Identity{Database: "given"}, nil
}
func (g given) Head(context.Context) (int64, error)               { return int64(len(g.events)), nil }
func (g given) EventAt(context.Context, int64) (uuid.UUID, error) { return uuid.Nil, nil }
func (g given) LeftOut() map[string]int64                         { return nil }

func (g given) Front(_ context.Context, do func(record any) error) error {
	if err := do(&archive.Header{Source: "given", Head: int64(len(g.events))}); err != nil {
		return err
	}
	for _, r := range g.front {
		if err := do(r); err != nil {
			return err
		}
	}
	return nil
}

func (g given) Events(_ context.Context, after, _ int64, do func(e *archive.Event) error) error {
	for i := range g.events {
		if g.events[i].Position <= after {
			continue
		}
		if err := do(&g.events[i]); err != nil {
			return err
		}
	}
	return nil
}

func (g given) StreamIDs(_ context.Context, do func(id int64) error) error {
	for _, r := range g.front {
		if s, ok := r.(*archive.Stream); ok {
			if err := do(s.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// archive writes the source into an archive.
func (g given) archive(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "archive")
	_, err := transfer.Export(tb.Context(), g, path, transfer.ExportOptions{})
	require.NoError(tb, err)
	return path
}

func stream(id int64, name string, version int64) *archive.Stream {
	return &archive.Stream{ID: id, Name: name, Version: version, CreatedAt: time.Unix(1, 0)}
}

// TestEmpty: a store without anything moves, with nothing.
func TestEmpty(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		for _, kind := range kinds {
			fresh := databasetest.New(t, kind)
			_, err := transfer.Import(t.Context(), fresh, exported(t, d), transfer.ImportOptions{})
			require.NoError(t, err)
			lines, head := archived(t, fresh)
			assert.Empty(t, lines)
			assert.Zero(t, head)
			sound(t, fresh)
			es := open(t, fresh)
			es.append("a", 1)
		}
	})
}

// TestEmptyStream: a stream without events moves, is no damage, and can be written.
func TestEmptyStream(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		deleted := stream(3, "deleted", 0)
		deleted.DeletedAt = time.Unix(2, 0)
		path := given{front: []any{stream(1, "empty", 0), stream(2, "one", 0), deleted}}.archive(t)
		_, err := transfer.Import(t.Context(), d, path, transfer.ImportOptions{})
		require.NoError(t, err)
		sound(t, d)
		fresh := databasetest.New(t, d.Kind)
		_, err = transfer.Import(t.Context(), fresh, exported(t, d), transfer.ImportOptions{})
		require.NoError(t, err)
		want, _ := archived(t, d)
		have, _ := archived(t, fresh)
		assert.Equal(t, want, have)
		assert.Len(t, have, 3)

		es := open(t, fresh)
		r, err := es.Append(t.Context(), "one", store.NoStream, store.Event{Type: "x", Data: 1})
		require.NoError(t, err)
		assert.Equal(t, int64(1), r.Last)
		_, err = es.Append(t.Context(), "deleted", store.Any, store.Event{Type: "x", Data: 1})
		require.ErrorIs(t, err, store.ErrStreamDeleted)
		page, err := es.Page(t.Context(), "one", nil)
		require.NoError(t, err)
		assert.Len(t, page, 1)
		sound(t, fresh)
	})
}

// TestRefusedNames: names that the library refuses are refused before anything is written.
func TestRefusedNames(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		for what, record := range map[string]any{
			"stream":       stream(1, "$x", 1),
			"empty":        stream(1, "", 1),
			"snapshot":     &archive.Snapshot{SourceID: "", Version: 1, Type: "x", Data: []byte("1")},
			"subscription": &archive.Subscription{Stream: store.All, Name: "$x"},
		} {
			path := given{front: []any{record}}.archive(t)
			_, err := transfer.Import(t.Context(), d, path, transfer.ImportOptions{})
			require.ErrorIs(t, err, store.ErrInvalid, what)
			untouched(t, d)
		}
	})
}

// untouched checks that nothing is in a store, and no import is unfinished.
func untouched(t *testing.T, d *database.Database) {
	t.Helper()
	u, err := transfer.Find(t.Context(), d)
	require.NoError(t, err)
	require.Nil(t, u)
	lines, head := archived(t, d)
	require.Empty(t, lines)
	require.Zero(t, head)
}

// jsonDatabase returns an empty store whose columns for data are of a type.
func jsonDatabase(t *testing.T, dataType string) *database.Database {
	t.Helper()
	return databasetest.NewOf(t, database.PostgreSQL, dataType)
}

// texts are values, and whether PostgreSQL's jsonb takes them.
var texts = map[string]bool{
	`1`: true, `{"a":[1,{"b":"\u00e9 \ud83d\ude00 \\u0000 \\\\u0000"}]}`: true, `"\u0000"`: false, `{"\u0000":1}`: false,
	`"\\\u0000"`: false, `"\ud83d"`: false, `"\ud83dx"`: false, `"\ude00"`: false, `"\ud83d\n\ude00"`: false, `"\ud83d\ud83d"`: false,
	`1e131071`: true, `1e131072`: false, `-1e131071`: true, `12e131070`: true, `12e131071`: false, `0.1e131072`: true, `0.01e131073`: true,
	`0.01e131074`: false, `1e-16383`: true, `1e-16384`: false, `1.5e-16382`: true, `1.5e-16383`: false, `1e99999999999999999999`: false,
	`[0, -0, 0.0, 10, 1E5, 1e+5]`: true, `0e5`: true, `100e131069`: true, `100e131070`: false,
}

// TestJSONB: what jsonb refuses is found before anything is written, and the event is named; exactly that.
func TestJSONB(t *testing.T) {
	t.Parallel()
	d := jsonDatabase(t, "jsonb")
	for text, good := range texts {
		require.True(t, json.Valid([]byte(text)), text)
		var value string
		err := d.QueryRowContext(t.Context(), "select $1::text::jsonb::text", text).Scan(&value)
		require.Equal(t, good, err == nil, "the server and %s: %v", text, err)
		if reason := transfer.JSONBReason([]byte(text)); good {
			assert.Empty(t, reason, text)
		} else {
			assert.NotEmpty(t, reason, text)
		}
	}
	for _, bad := range []archive.Event{
		{Data: []byte(`{"a":"\u0000"}`)}, {Data: []byte(`{}`), Metadata: []byte(`"\u0000"`)}, {Data: []byte(`}`)}, {Data: []byte(`1`), ContentType: "text"},
	} {
		g := given{front: []any{stream(1, "a", 3)}}
		for i := range 3 {
			g.events = append(g.events, archive.Event{
				Position: int64(i + 1), StreamID: 1, Stream: "a", Version: int64(i + 1), ID: uuid.New(), Type: "x", CreatedAt: time.Unix(3, 0), Data: []byte(`1`),
			})
		}
		last := &g.events[2]
		last.Data, last.Metadata, last.ContentType = bad.Data, bad.Metadata, bad.ContentType
		_, err := transfer.Import(t.Context(), d, g.archive(t), transfer.ImportOptions{Batch: 1})
		require.ErrorIs(t, err, transfer.ErrNotJSON)
		require.ErrorContains(t, err, fmt.Sprintf(`event %s (position 3, version 3 of "a")`, last.ID))
		untouched(t, d)
	}
	// What only the server can tell, such as what is nested too deep for its stack, names the event, too.
	where, err := url.Parse(databasetest.URL(t, database.PostgreSQL))
	require.NoError(t, err)
	settings := where.Query()
	settings.Set("max_stack_depth", "100kB")
	where.RawQuery = settings.Encode()
	small := databasetest.Open(t, where.String(), d.Schema)
	g := given{front: []any{stream(1, "a", 1)}, events: []archive.Event{{
		Position: 1, StreamID: 1, Stream: "a", Version: 1, ID: uuid.New(), Type: "x", CreatedAt: time.Unix(3, 0), Data: deep(9_000),
	}}}
	_, err = transfer.Import(t.Context(), small, g.archive(t), transfer.ImportOptions{})
	require.ErrorIs(t, err, transfer.ErrNotJSON)
	require.ErrorContains(t, err, g.events[0].ID.String())
	_, err = transfer.Abandon(t.Context(), d)
	require.NoError(t, err)
	untouched(t, d)
}

// TestJSONBSize: what is short as it is written, and longer as jsonb returns it than may be read back, is refused before anything is
// written.
func TestJSONBSize(t *testing.T) {
	t.Parallel()
	s := open(t, databasetest.New(t, database.SQLite))
	s.raw("a", "", []byte(`1`), nil)
	s.raw("a", "", long(8_200), nil)
	path := exported(t, s.d)
	d := jsonDatabase(t, "jsonb")
	_, err := transfer.Import(t.Context(), d, path, transfer.ImportOptions{Batch: 1})
	require.ErrorIs(t, err, store.ErrInvalid)
	require.ErrorContains(t, err, `position 2, version 2 of "a"`)
	untouched(t, d)
	_, err = transfer.Import(t.Context(), jsonDatabase(t, "json"), path, transfer.ImportOptions{})
	require.NoError(t, err)

	for _, metadata := range []bool{false, true} {
		snapshot := &archive.Snapshot{SourceID: "a", Version: 1, Type: "T", Data: long(8_200), CreatedAt: time.Unix(3, 0)}
		if metadata {
			snapshot.Data, snapshot.Metadata = []byte(`1`), long(9)
		}
		_, err = transfer.Import(t.Context(), d, given{front: []any{snapshot}}.archive(t), transfer.ImportOptions{})
		require.ErrorIs(t, err, store.ErrInvalid)
		require.ErrorContains(t, err, `the snapshot of "a"`)
		untouched(t, d)
	}
}

// long returns n numbers of 9 bytes with 131,072 digits each.
func long(n int) []byte { return []byte("[" + strings.Repeat("1e131071,", n-1) + "1e131071]") }

// deep returns lists in lists.
func deep(n int) (b []byte) {
	for range n {
		b = append(b, '[')
	}
	for range n {
		b = append(b, ']')
	}
	return b
}

// TestReaders: into an empty store in which programs have subscribed, each subscription is at the source's checkpoint afterwards,
// and a new program goes on there; or the import is refused before anything is written.
func TestReaders(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		s := open(t, databasetest.New(t, d.Kind))
		s.append("a", 5)
		s.consume("a", 2)
		s.consume(store.All, 4)
		path := exported(t, s.d)
		es := open(t, d)
		for _, stream := range []string{"a", store.All} {
			sub, err := es.Subscribe(t.Context(), stream, "reader", nil)
			require.NoError(t, err)
			_, err = transfer.Import(t.Context(), d, path, transfer.ImportOptions{})
			require.ErrorIs(t, err, transfer.ErrHeld)
			require.ErrorContains(t, err, "reader on "+stream)
			require.NoError(t, sub.Close())
			untouchedButSubscriptions(t, d)
		}
		require.NoError(t, es.RecordSnapshot(t.Context(), store.Snapshot{SourceID: "of mine", Version: 1, Type: "x", Data: 1}))
		_, err := transfer.Import(t.Context(), d, path, transfer.ImportOptions{})
		require.ErrorIs(t, err, transfer.ErrTaken)
		require.ErrorContains(t, err, "snapshots: of mine")
		require.NoError(t, es.DeleteSnapshot(t.Context(), "of mine"))

		_, err = transfer.Import(t.Context(), d, path, transfer.ImportOptions{})
		require.NoError(t, err)
		sound(t, d)
		assert.Equal(t, int64(2), checkpoint(t, es, "a", "reader"))
		assert.Equal(t, int64(4), checkpoint(t, es, store.All, "reader"))
		assert.Equal(t, int64(3), next(t, es, "a"))
		assert.Equal(t, int64(5), next(t, es, store.All))
	})
}

func untouchedButSubscriptions(t *testing.T, d *database.Database) {
	t.Helper()
	u, err := transfer.Find(t.Context(), d)
	require.NoError(t, err)
	require.Nil(t, u)
	head, err := d.Backend.Head(t.Context())
	require.NoError(t, err)
	require.Zero(t, head)
}

// next returns the number of the event that the subscription "reader" is given next.
func next(t *testing.T, es *shop, stream string) (number int64) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	err := es.Consume(ctx, stream, "reader", func(_ context.Context, e store.Recorded) error {
		if number == 0 {
			number = e.Number
		}
		stop()
		return nil
	}, nil)
	require.ErrorIs(t, err, context.Canceled)
	return number
}

// TestGoneStream: a checkpoint in a stream that was hard deleted does not count in the stream of its name that comes after the
// move: nothing of that is skipped. Merged too.
func TestGoneStream(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		s := open(t, databasetest.New(t, d.Kind))
		s.append("other", 1)
		s.append("s", 5)
		s.consume("s", 5)
		require.NoError(t, s.Delete(t.Context(), "s", store.Any, store.HardDelete))
		path := exported(t, s.d)
		es := open(t, d)
		for _, merge := range []bool{false, true} {
			if merge {
				es = open(t, databasetest.New(t, d.Kind))
				es.append("mine", 1)
			}
			_, err := transfer.Import(t.Context(), es.d, path, transfer.ImportOptions{Merge: merge})
			require.NoError(t, err)
			es.append("yet another", 1)
			es.append("s", 8)
			assert.Equal(t, int64(1), next(t, es, "s"))
			sound(t, es.d)
		}
	})
}
