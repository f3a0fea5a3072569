package postgres_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// TestConvertData: there and back again, with appends in between that find the columns as they are.
func TestConvertData(t *testing.T) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			schema := `quoted "` + pgtest.Schema(t)
			db := pgtest.Open(t, driver, pgtest.URL(t))
			t.Cleanup(func() { _, _ = db.Exec(`drop schema if exists "quoted ""` + schema[len(`quoted "`):] + `" cascade`) })
			_, es := open(t, postgres.Options{Schema: schema})
			count := 0
			add := func(es *store.Store) {
				one := store.Event{Type: "placed", Data: map[string]int{"n": count}, Metadata: map[string]int{"m": count}}
				count++
				_, err := es.Append(t.Context(), "orders", store.Any, one)
				require.NoError(t, err)
				none := store.Event{Type: "placed", Data: map[string]int{"n": count}}
				next := store.Event{Type: "placed", Data: map[string]int{"n": count + 1}, Metadata: map[string]int{"m": count + 1}}
				count += 2
				_, err = es.Append(t.Context(), "orders", store.Any, none, next)
				require.NoError(t, err)
				require.NoError(t, es.RecordSnapshot(t.Context(), store.Snapshot{SourceID: "orders", Version: int64(count), Type: "orders", Data: count}))
			}
			add(es)
			for _, to := range []string{"jsonb", "jsonb", "json", "bytea", "json", "jsonb", "bytea"} {
				opts := postgres.Options{Schema: schema, DataType: to}
				require.NoError(t, postgres.ConvertData(t.Context(), db, &opts), to)
				b := postgres.New(pgtest.Open(t, driver, pgtest.URL(t)), &postgres.Options{Schema: schema}) // a program that starts
				es := store.New(b, nil)
				add(es)
				page, err := es.Page(t.Context(), "orders", nil)
				require.NoError(t, err)
				require.Len(t, page, count)
				for n, e := range page {
					assert.JSONEq(t, fmt.Sprintf(`{"n":%d}`, n), string(e.Data))
					if n%3 == 1 {
						assert.Nil(t, e.Metadata, "absent stays absent")
					} else {
						assert.JSONEq(t, fmt.Sprintf(`{"m":%d}`, n), string(e.Metadata))
					}
				}
				s, err := es.ReadSnapshot(t.Context(), "orders")
				require.NoError(t, err)
				assert.Equal(t, fmt.Sprint(count), string(s.Data))
				assert.Equal(t, to != "bytea", b.JSONOnly())
				require.NoError(t, es.Close())
			}
		})
	}
}

// TestConvertDataRefuses: what can't be jsonb stops all of it.
func TestConvertDataRefuses(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]struct {
		serializer store.Serializer
		data       any
	}{
		"another encoding": {sealed{}, 1},
		"NUL":              {nil, json.RawMessage(`"\u0000"`)},
		"lies":             {bytesAsTheyAre{}, []byte("not JSON")},
		"no text":          {bytesAsTheyAre{}, []byte("\xff")},
		"too many digits":  {nil, json.RawMessage("[1e131071" + strings.Repeat(",1e131071", 1_000) + "]")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			schema := pgtest.Schema(t)
			b, es := open(t, postgres.Options{Schema: schema})
			_, err := es.Append(t.Context(), "s", store.Any, store.Event{Type: "good", Data: 1})
			require.NoError(t, err)
			_, err = store.New(b, &store.Options{Serializer: bad.serializer}).Append(t.Context(), "s", store.Any, store.Event{Type: "bad", Data: bad.data})
			require.NoError(t, err)
			err = postgres.ConvertData(t.Context(), b.DB(), &postgres.Options{Schema: schema, DataType: "jsonb"})
			require.ErrorIs(t, err, store.ErrInvalid)
			_, err = es.Append(t.Context(), "s", store.Any, store.Event{Type: "good", Data: 1})
			require.NoError(t, err, "nothing has changed")
			page, err := es.Page(t.Context(), "s", nil)
			require.NoError(t, err)
			require.Len(t, page, 3)
		})
	}
	err := postgres.ConvertData(t.Context(), pgtest.Open(t, "pgx", pgtest.URL(t)), &postgres.Options{Schema: "not there", DataType: "jsonb"})
	require.ErrorIs(t, err, store.ErrSchema)
}

// TestConvertDataWaits: whatever timeouts the role has, for a transaction that uses the table.
func TestConvertDataWaits(t *testing.T) {
	t.Parallel()
	schema := pgtest.Schema(t)
	b, es := open(t, postgres.Options{Schema: schema})
	_, err := es.Append(t.Context(), "s", store.Any, store.Event{Type: "good", Data: 1})
	require.NoError(t, err)
	tx, err := b.DB().BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback() //nolint:errcheck // that is the point
	_, err = tx.ExecContext(t.Context(), `lock table `+schema+`.events in access share mode`)
	require.NoError(t, err)
	db := pgtest.Open(t, "pgx", pgtest.URL(t)+"&statement_timeout=3000&lock_timeout=20&application_name="+schema)
	done := make(chan error, 1)
	go func() {
		done <- postgres.ConvertData(t.Context(), db, &postgres.Options{Schema: schema, DataType: "jsonb"})
	}()
	for waiting := false; !waiting; {
		select {
		case err := <-done:
			require.Fail(t, "it did not wait", "%v", err)
		default:
		}
		require.NoError(t, tx.QueryRowContext(t.Context(), `select exists (select from pg_stat_activity
			where application_name = $1 and wait_event_type = 'Lock' and clock_timestamp() - query_start > interval '3200 ms'), pg_stat_clear_snapshot()::text`, schema).Scan(&waiting, new(string)))
	}
	require.NoError(t, tx.Rollback())
	require.NoError(t, <-done)
}
