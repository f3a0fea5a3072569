package commanded_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded/commandedtest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
	"github.com/eventstore-go/eventstore/store"
)

// TestWritten imports stores that the library wrote itself, and compares event by event and version by version, by SQL and the
// reader's view that the library gave, which came by neither's code.
func TestWritten(t *testing.T) {
	t.Parallel()
	for _, e := range commandedtest.Encodings() {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			from := commandedtest.Written(t, e)
			path := filepath.Join(t.TempDir(), "archive.zst")
			s, err := commanded.Open(t.Context(), from.Location, commanded.Options{Schema: from.Schema})
			require.NoError(t, err)
			defer func() { require.NoError(t, s.Close()) }()
			_, err = transfer.Export(t.Context(), s, path, transfer.ExportOptions{Compress: true})
			require.NoError(t, err)
			want := commandedtest.ExpectedContent(t, e)
			source := from.Content(t)
			require.Equal(t, want.Events, source.Events, "the fixture is what the library wrote")
			for name, d := range targets(t, e) {
				t.Run(name, func(t *testing.T) {
					_, err := transfer.Import(t.Context(), d, path, transfer.ImportOptions{})
					require.NoError(t, err)
					got := commandedtest.OfTarget(t, d)
					require.Equal(t, want.Events, got.Events)
					require.Equal(t, want.Streams, got.Streams)
					require.Equal(t, source.Rows, got.Rows)
					require.Equal(t, source.Snapshots, got.Snapshots)
					require.Equal(t, checkpoints(source.Subscriptions), got.Subscriptions)
					goesOn(t, d, from)
				})
			}
		})
	}
}

// targets are empty stores that take the data.
func targets(t *testing.T, e commandedtest.Encoding) map[string]*database.Database {
	t.Helper()
	list := map[string]*database.Database{
		"PostgreSQL": databasetest.New(t, database.PostgreSQL),
		"SQLite":     databasetest.New(t, database.SQLite),
	}
	if e == commandedtest.JSONB {
		list["PostgreSQL, jsonb"] = databasetest.NewOf(t, database.PostgreSQL, "jsonb")
	}
	return list
}

// checkpoints are those that a source's become: of streams that were hard deleted they begin anew.
func checkpoints(list []string) []string {
	expected := slices.Clone(list)
	for i, line := range expected {
		if cells := parts(line); strings.HasPrefix(line, "sub-hard") {
			expected[i] = strings.Join(cells[:len(cells)-1], ",") + ",0"
		}
	}
	return expected
}

// goesOn checks that positions, versions and subscriptions go on where they were.
func goesOn(t *testing.T, d *database.Database, from *commandedtest.Store) {
	t.Helper()
	es := store.New(d.Backend, nil)
	defer func() { require.NoError(t, es.Close()) }()
	var head, version, position, link int64
	for query, into := range map[string]*int64{
		`select stream_version from /*schema.*/streams where stream_id = 0`:                                    &head,
		`select stream_version from /*schema.*/streams where stream_uuid = 'mixed-1'`:                          &version,
		`select min(stream_version) from /*schema.*/stream_events where stream_id = 0 and stream_version > 77`: &position,
		`select min(v.stream_version) from /*schema.*/stream_events v join /*schema.*/streams s on s.stream_id = v.stream_id
		 where s.stream_uuid = 'by-customer-1' and v.stream_version > 3`: &link,
	} {
		from.Number(t, query, into)
	}
	assert.Equal(t, position, next(t, es, store.All, "all-77"))
	assert.Equal(t, link, next(t, es, "by-customer-1", "on-links"))

	have, err := es.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, head, have)
	r, err := es.Append(t.Context(), "mixed-1", store.Version(version), store.Event{Type: "New", Data: 1})
	require.NoError(t, err)
	assert.Equal(t, version+1, r.Last)
	have, err = es.Head(t.Context())
	require.NoError(t, err)
	assert.Equal(t, head+1, have)
}

// next returns which event a subscription receives first.
func next(t *testing.T, es *store.Store, stream, name string) (first int64) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	err := es.Consume(ctx, stream, name, func(_ context.Context, e store.Recorded) error {
		if first == 0 {
			first = e.Number
		}
		stop()
		return nil
	}, nil)
	require.ErrorIs(t, err, context.Canceled)
	return first
}
