package transfer_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
	"github.com/eventstore-go/eventstore/store"
)

// TestExportRuns: runs of appends longer than a page are exported once each, whatever stands between them.
func TestExportRuns(t *testing.T) {
	t.Parallel()
	d := databasetest.New(t, database.PostgreSQL)
	for _, statement := range []string{
		`insert into /*schema.*/streams (name, version, created_at) select 's-' || n, 0, now() from generate_series(1, 10) as s (n)`,
		// 12,000 appends of one event, 3 of 4,000 events, and 6,000 of 2. Their numbers have gaps.
		`insert into /*schema.*/events (append_seq, stream_id, version, created_at, idx, event_id, event_type, data)
			select n, n % 10 + 1, n / 10 + 1, now(), 0, gen_random_uuid(), 't', '{}' from generate_series(1, 12000) as a (n)`,
		`insert into /*schema.*/events (append_seq, stream_id, version, created_at, idx, event_id, event_type, data)
			select 20000 + n, 1, 100000 + n * 4000 + i, now(), i, gen_random_uuid(), 't', '{}' from generate_series(1, 3) as a (n) cross join generate_series(0, 3999) as b (i)`,
		`insert into /*schema.*/events (append_seq, stream_id, version, created_at, idx, event_id, event_type, data)
			select 30000 + n, 2, 100000 + n * 2 + i, now(), i, gen_random_uuid(), 't', '{}' from generate_series(1, 6000) as a (n) cross join generate_series(0, 1) as b (i)`,
		`insert into /*schema.*/log (position, append_seq, n, appends) values (1, 1, 1, 12000), (12001, 20001, 4000, 3), (30001, 30001, 2, 6000)`,
	} {
		_, err := d.ExecContext(t.Context(), strings.ReplaceAll(statement, "/*schema.*/", `"`+d.Schema+`".`))
		require.NoError(t, err)
	}
	source, err := transfer.Source(d)
	require.NoError(t, err)
	next := int64(1)
	require.NoError(t, source.Events(t.Context(), 0, 42_000, func(e *archive.Event) error {
		if next == 24_001 {
			next = 30_001
		}
		require.Equal(t, next, e.Position)
		next++
		return nil
	}))
	require.EqualValues(t, 42_001, next)
	for _, at := range []int64{1, 12_000, 12_001, 24_000, 30_001, 42_000} {
		id, err := source.EventAt(t.Context(), at)
		require.NoError(t, err)
		require.NotZero(t, id, "position %d", at)
	}
	id, err := source.EventAt(t.Context(), 24_001)
	require.NoError(t, err)
	require.Zero(t, id, "no event has this position")
}

// TestExportBesideWriters: a page of an export keeps no writer waiting, and what is hard deleted while it is read moves nothing: the
// events of others are all there.
func TestExportBesideWriters(t *testing.T) {
	t.Parallel()
	for _, kind := range []database.Kind{database.PostgreSQL, database.SQLite} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			d := databasetest.New(t, kind)
			es := store.New(d.Backend, &store.Options{HardDelete: true})
			fill := func(stream string, n int) {
				_, err := es.Append(t.Context(), stream, store.Any, slices.Repeat([]store.Event{{Type: "t", Data: 1}}, n)...)
				require.NoError(t, err)
			}
			fill("gone", 1)
			fill("gone", 1)
			for range 20 {
				fill("kept", 1)
			}
			_, err := es.Head(t.Context())
			require.NoError(t, err)
			fill("kept", 2) // in PostgreSQL, a row of the log of its own
			head, err := es.Head(t.Context())
			require.NoError(t, err)
			source, err := transfer.Source(d)
			require.NoError(t, err)
			transfer.SetPage(source, 10)
			kept, first := 0, true
			require.NoError(t, source.Events(t.Context(), 0, head, func(e *archive.Event) error {
				if first {
					first = false
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
					defer cancel()
					require.NoError(t, es.Delete(ctx, "gone", store.Any, store.HardDelete))
				}
				if e.Stream == "kept" {
					kept++
				}
				return nil
			}))
			require.Equal(t, 22, kept)
		})
	}
}
