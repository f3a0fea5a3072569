package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// shown returns rows of the view, or of what else is selected, as text.
func shown(t *testing.T, b *Backend, query string) (lines []string) {
	t.Helper()
	rows, err := b.db.QueryContext(t.Context(), strings.NewReplacer(b.opts.replacements()...).Replace(
		`select position, stream, version, event_type, content_type, data, metadata from /*schema.*/`+query))
	require.NoError(t, err, query)
	defer rows.Close() //nolint:errcheck // rows.Err is what counts
	for rows.Next() {
		var position, version sql.NullInt64
		var stream, eventType string
		var contentType, data, metadata sql.NullString
		require.NoError(t, rows.Scan(&position, &stream, &version, &eventType, &contentType, &data, &metadata))
		at := "-"
		if position.Valid {
			at = fmt.Sprint(position.Int64)
		}
		lines = append(lines, fmt.Sprintf("%s %s@%d %s %s %s", at, stream, version.Int64, eventType, data.String, metadata.String))
	}
	require.NoError(t, rows.Err())
	return lines
}

// raw is a serializer of bytes.
type raw struct{ contentType string }

func (r raw) Encode(_ string, v any) ([]byte, string, error) { return v.([]byte), r.contentType, nil }
func (raw) Decode(_, _ string, data []byte, into any) error {
	*into.(*[]byte) = data
	return nil
}

// TestRecorded: the view shows events with the names of their streams, their positions and their data as text, whatever the type of
// the columns, and goes on when that is converted.
func TestRecorded(t *testing.T) {
	t.Parallel()
	for _, dataType := range []string{"bytea", "jsonb", "json"} {
		t.Run(dataType, func(t *testing.T) {
			t.Parallel()
			b := New(pgtest.Open(t, "pgx", pgtest.URL(t)), &Options{Schema: pgtest.Schema(t), DataType: dataType})
			install(t, b)
			es := store.New(b, &store.Options{HardDelete: true})
			put := func(stream string, n int) {
				t.Helper()
				events := make([]store.Event, n)
				for i := range events {
					events[i] = store.Event{Type: "happened", Data: fmt.Sprintf("%d ü", i), Metadata: i}
				}
				_, err := es.Append(t.Context(), stream, store.Any, events...)
				require.NoError(t, err)
			}
			put("a", 1)
			put("b", 3)
			put("a", 1)
			tx := begin(t, b)
			_, err := es.WithTx(tx).Append(t.Context(), "late", store.Any, store.Event{Type: "happened", Data: "0 ü", Metadata: 0})
			require.NoError(t, err)
			put("c", 2)
			_, err = b.Tick(t.Context())
			require.NoError(t, err)
			require.NoError(t, tx.Commit())
			unplaced := `- late@1 happened "0 ü" 0`
			require.Equal(t, []string{unplaced}, shown(t, b, `recorded where stream = 'late'`))
			want := []string{
				`1 a@1 happened "0 ü" 0`, `2 b@1 happened "0 ü" 0`, `3 b@2 happened "1 ü" 1`, `4 b@3 happened "2 ü" 2`, `5 a@2 happened "0 ü" 0`,
				`6 c@1 happened "0 ü" 0`, `7 c@2 happened "1 ü" 1`,
			}
			require.Equal(t, append(want, unplaced), shown(t, b, `recorded order by position`))
			require.Equal(t, want, shown(t, b, `recorded_from(1)`))
			_, err = b.Tick(t.Context())
			require.NoError(t, err)
			want = append(want, `8 late@1 happened "0 ü" 0`)
			for dataType := range map[string]bool{"as it is": true, "jsonb": true, "bytea": true, "json": true} {
				if dataType != "as it is" {
					require.NoError(t, ConvertData(t.Context(), b.db, &Options{Schema: b.opts.Schema, DataType: dataType}))
				}
				require.Equal(t, want, shown(t, b, `recorded order by position`), dataType)
				require.Equal(t, []string{want[0], want[4]}, shown(t, b, `recorded where stream = 'a' order by version`), dataType)
				for call, from := range map[string][]string{
					"1": want, "3, 4": want[2:6], "8": want[7:], "9": nil, "-3": want[5:], "-3, 2": want[5:7], "-100, 10": nil, "3, 0": nil, "0, 3": want[:2],
				} {
					require.Equal(t, from, shown(t, b, `recorded_from(`+call+`)`), "%s %s", dataType, call)
				}
			}
			require.NoError(t, es.Delete(t.Context(), "b", store.Any, store.HardDelete))
			require.Equal(t, []string{want[0], want[4], want[5], want[6], want[7]}, shown(t, b, `recorded_from(1)`))
			require.Equal(t, shown(t, b, `recorded_from(1)`), shown(t, b, `recorded order by position`))
		})
	}
}

// TestRecordedIsNoText: data that is no text in UTF-8 makes nothing fail, whatever the session's settings.
func TestRecordedIsNoText(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	for _, data := range []string{"\xff\x00\x01", "a\x00b", "\xc3", "", "ü"} {
		es := store.New(b, &store.Options{Serializer: raw{"application/octet-stream"}})
		_, err := es.Append(t.Context(), "s", store.Any, store.Event{Type: "happened", Data: []byte(data)})
		require.NoError(t, err)
	}
	want := []string{`1 s@1 happened \xff0001 `, `2 s@2 happened \x610062 `, `3 s@3 happened \xc3 `, `4 s@4 happened  `, `5 s@5 happened ü `}
	_, err := b.Tick(t.Context())
	require.NoError(t, err)
	for _, settings := range []string{"", "&bytea_output=escape&standard_conforming_strings=off&escape_string_warning=off"} {
		other := New(pgtest.Open(t, "pgx", pgtest.URL(t)+settings), &b.opts)
		require.Equal(t, want, shown(t, other, `recorded order by position`))
		require.Equal(t, want, shown(t, other, `recorded_from(1)`))
	}
}

// TestRecordedRenamed: the view and the function go with their tables.
func TestRecordedRenamed(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	appendTo(t, b, "old", 1)
	_, err := b.Tick(t.Context())
	require.NoError(t, err)
	renamed := New(b.db, &Options{Schema: pgtest.Schema(t)})
	_, err = b.db.ExecContext(t.Context(), `alter schema `+quote(b.opts.Schema)+` rename to `+quote(renamed.opts.Schema))
	require.NoError(t, err)
	install(t, b)
	require.Equal(t, []string{`1 old@1 happened 0 `}, shown(t, renamed, `recorded`))
	require.Equal(t, []string{`1 old@1 happened 0 `}, shown(t, renamed, `recorded_from(1)`))
}

// TestRecordedRights: a role that may read the view needs no right on the tables; for recorded_from it does.
func TestRecordedRights(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	appendTo(t, b, "a", 1)
	_, err := b.Tick(t.Context())
	require.NoError(t, err)
	role := "analyst_" + b.opts.Schema
	exec := func(statements ...string) {
		t.Helper()
		for _, s := range statements {
			_, err := b.db.ExecContext(t.Context(), strings.NewReplacer(append(b.opts.replacements(), "ROLE", quote(role))...).Replace(s))
			require.NoError(t, err, s)
		}
	}
	t.Cleanup(func() {
		_, err := b.db.ExecContext(context.WithoutCancel(t.Context()), `drop owned by `+quote(role)+`; drop role `+quote(role))
		require.NoError(t, err)
	})
	exec(`create role ROLE`, `revoke execute on all functions in schema /*schema*/ from public`,
		`grant usage on schema /*schema*/ to ROLE`, `grant select on /*schema.*/recorded to ROLE`,
		`grant execute on function /*schema.*/shown(bytea), /*schema.*/shown(jsonb), /*schema.*/shown(json), /*schema.*/recorded_from(bigint, bigint) to ROLE`)
	analyst := New(pgtest.Open(t, "pgx", pgtest.URL(t)+"&role="+role), &b.opts)
	require.Equal(t, []string{`1 a@1 happened 0 `}, shown(t, analyst, `recorded`))
	err = analyst.db.QueryRowContext(t.Context(), strings.NewReplacer(b.opts.replacements()...).Replace(`select count(*) from /*schema.*/recorded_from(1)`)).Scan(new(int))
	require.ErrorContains(t, err, "permission denied for table log")
	exec(`grant select on /*schema.*/log, /*schema.*/events, /*schema.*/streams to ROLE`)
	require.Equal(t, []string{`1 a@1 happened 0 `}, shown(t, analyst, `recorded_from(1)`))
	for _, dataType := range []string{"jsonb", "bytea"} {
		require.NoError(t, ConvertData(t.Context(), b.db, &Options{Schema: b.opts.Schema, DataType: dataType}))
		require.Equal(t, []string{`1 a@1 happened 0 `}, shown(t, analyst, `recorded`), "grants stay")
		require.Equal(t, []string{`1 a@1 happened 0 `}, shown(t, analyst, `recorded_from(1)`), "grants stay")
	}
}
