package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/serializer/encryption"
	"github.com/eventstore-go/eventstore/serializer/msgpack"
	"github.com/eventstore-go/eventstore/serializer/protobuf"
	"github.com/eventstore-go/eventstore/serializer/zstd"
	"github.com/eventstore-go/eventstore/store"
)

// open returns a store in the schema, with its tables.
func open(t *testing.T, opts postgres.Options) (*postgres.Backend, *store.Store) {
	t.Helper()
	b := postgres.New(pgtest.Open(t, "pgx", pgtest.URL(t)), &opts)
	require.NoError(t, migrate.Up(t.Context(), b))
	es := store.New(b, &store.Options{HardDelete: true})
	t.Cleanup(func() { require.NoError(t, es.Close()) })
	return b, es
}

func TestWrongOptions(t *testing.T) {
	t.Parallel()
	for _, opts := range []postgres.Options{
		{Schema: strings.Repeat("s", 53)}, {Schema: "a\x00b"}, {DataType: "xml"}, {VersionTable: strings.Repeat("v", 64)},
	} {
		b := postgres.New(nil, &opts)
		_, err := store.New(b, nil).Head(t.Context())
		require.ErrorIs(t, err, store.ErrInvalid)
		_, err = b.BeginTx(t.Context(), nil)
		require.ErrorIs(t, err, store.ErrInvalid)
		require.ErrorIs(t, migrate.Up(t.Context(), b), store.ErrInvalid, "nothing is created, either")
	}
}

// TestTenants: stores in schemas of any name share one database, and nothing else.
func TestTenants(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	db := pgtest.Open(t, "pgx", url)
	names := []string{`public`, `eventstore`, `Tenant 1`, `te"n'ant`, `select`, `$1`, strings.Repeat("ü", 26)}
	for i, name := range names {
		b := postgres.New(db, &postgres.Options{Schema: name})
		require.NoError(t, migrate.Up(t.Context(), b), name)
		es := store.New(b, &store.Options{HardDelete: true})
		for n := range i + 1 {
			_, err := es.Append(t.Context(), "stream", store.Version(int64(n)), store.Event{Type: "happened", Data: name})
			require.NoError(t, err, name)
		}
		require.NoError(t, b.Close())
	}
	for i, name := range names {
		es := store.New(postgres.New(db, &postgres.Options{Schema: name}), nil)
		head, err := es.Head(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, i+1, head, name)
		require.NoError(t, es.Close())
	}
}

func TestDataTypes(t *testing.T) {
	t.Parallel()
	for _, dataType := range []string{"bytea", "jsonb", "json"} {
		t.Run(dataType, func(t *testing.T) {
			t.Parallel()
			schema := pgtest.Schema(t)
			b, es := open(t, postgres.Options{Schema: schema, DataType: dataType})
			event := store.Event{Type: "order.placed", Data: map[string]string{"customer": "c-1"}, Metadata: map[string]int{"n": 1}}
			_, err := es.Append(t.Context(), "order-1", store.NoStream, event, event) // one statement for one, another for many
			require.NoError(t, err)
			_, err = es.Append(t.Context(), "order-1", store.Any, event)
			require.NoError(t, err)
			page, err := es.Page(t.Context(), "order-1", nil)
			require.NoError(t, err)
			for _, e := range page {
				require.JSONEq(t, `{"customer":"c-1"}`, string(e.Data))
				require.JSONEq(t, `{"n":1}`, string(e.Metadata))
			}
			var column string
			require.NoError(t, b.DB().QueryRowContext(t.Context(), `select data_type from information_schema.columns
				where table_schema = $1 and table_name = 'events' and column_name = 'data'`, schema).Scan(&column))
			require.Equal(t, dataType, column)
			if dataType == "bytea" {
				return
			}
			var customer string
			require.NoError(t, b.DB().QueryRowContext(t.Context(), `select data->>'customer' from "`+schema+`".events where data->>'customer' = 'c-1' limit 1`).Scan(&customer))
			require.Equal(t, "c-1", customer, "data can be queried with SQL")

			raw := store.New(b, &store.Options{Serializer: bytesAsTheyAre{}})
			_, err = raw.Append(t.Context(), "order-1", store.Any, store.Event{Type: "t", Data: []byte("not JSON")})
			require.ErrorIs(t, err, store.ErrInvalid)
			_, err = raw.Append(t.Context(), "order-1", store.Any, store.Event{Type: "t", Data: []byte("\x00\xff")})
			require.ErrorIs(t, err, store.ErrInvalid)
		})
	}
}

// TestCheck: a Store is judged by what is there, and not by what the options say, before anything is written.
func TestCheck(t *testing.T) {
	t.Parallel()
	formats := map[string]*store.Options{
		"msgpack":    {Serializer: serializer.New(msgpack.Format{}, nil)},
		"metadata":   {MetadataSerializer: serializer.New(msgpack.Format{}, nil)},
		"protobuf":   {Serializer: serializer.New(protobuf.Format{}, nil)},
		"zstd":       {Serializer: serializer.New(serializer.JSONFormat{}, &serializer.Options{Codings: []serializer.Coding{zstd.New(nil)}})},
		"encryption": {Serializer: serializer.New(serializer.JSONFormat{}, &serializer.Options{Codings: []serializer.Coding{encryption.New(encryption.NewMemoryKeys(), nil, nil)}})},
	}
	for _, dataType := range []string{"bytea", "jsonb", "json"} {
		schema := pgtest.Schema(t)
		b, plain := open(t, postgres.Options{Schema: schema, DataType: dataType})
		require.NoError(t, plain.Check(t.Context()))
		for name, opts := range formats {
			es := store.New(postgres.New(b.DB(), &postgres.Options{Schema: schema}), opts) // which does not know what is there
			err := es.Check(t.Context())
			if dataType == "bytea" {
				require.NoError(t, err, name)
				continue
			}
			var invalid *store.InvalidError
			require.ErrorAs(t, err, &invalid, name)
			require.Contains(t, []string{"Serializer", "MetadataSerializer"}, invalid.Field)
			require.ErrorContains(t, err, "take JSON only", name)
			tx, err := b.DB().BeginTx(t.Context(), nil)
			require.NoError(t, err)
			require.ErrorIs(t, es.WithTx(tx).Check(t.Context()), store.ErrInvalid, name)
			require.NoError(t, tx.Rollback())
			require.NoError(t, es.Close())
			require.ErrorIs(t, es.Check(t.Context()), store.ErrClosed)
		}
		head, err := plain.Head(t.Context())
		require.NoError(t, err)
		require.Zero(t, head, "nothing was written")
	}

	missing := postgres.New(pgtest.Open(t, "pgx", pgtest.URL(t)), &postgres.Options{Schema: pgtest.Schema(t)})
	es := store.New(missing, formats["msgpack"])
	require.ErrorIs(t, es.Check(t.Context()), store.ErrSchema)
	require.NoError(t, migrate.Up(t.Context(), missing))
	require.NoError(t, es.Check(t.Context()), "it looks again")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, es.Check(ended), context.Canceled)
	require.NoError(t, es.Close())
}

// TestJSONColumnsRefuseOtherEncodings: by the options when the Store is opened, and by what is there at the first append.
func TestJSONColumnsRefuseOtherEncodings(t *testing.T) {
	t.Parallel()
	for _, dataType := range []string{"jsonb", "json"} {
		schema := pgtest.Schema(t)
		b, plain := open(t, postgres.Options{Schema: schema, DataType: dataType})
		for _, opts := range []*store.Options{{Serializer: sealed{}}, {MetadataSerializer: sealed{}}} {
			var invalid *store.InvalidError
			_, err := store.New(b, opts).Head(t.Context())
			require.ErrorAs(t, err, &invalid)
			require.Contains(t, err.Error(), "json+sealed")
			// A program that does not know what the schema was created with.
			es := store.New(postgres.New(b.DB(), &postgres.Options{Schema: schema}), opts)
			for n := range 3 {
				events := slices.Repeat([]store.Event{{Type: "t", Data: 1, Metadata: 2}}, n+1)
				_, err = es.Append(t.Context(), "s", store.Any, events...)
				require.ErrorAs(t, err, &invalid)
				require.Equal(t, "events[0].data", invalid.Field)
			}
		}
		head, err := plain.Head(t.Context())
		require.NoError(t, err)
		require.Zero(t, head, "nothing was written")
	}
	b, _ := open(t, postgres.Options{Schema: pgtest.Schema(t)})
	_, err := store.New(b, &store.Options{Serializer: sealed{}}).Append(t.Context(), "s", store.Any, store.Event{Type: "t"})
	require.NoError(t, err, "bytes take anything")
}

// sealed is an encoding that is not JSON.
type sealed struct{ bytesAsTheyAre }

func (sealed) ContentType() string                        { return "json+sealed" }
func (sealed) Encode(string, any) ([]byte, string, error) { return []byte("{}"), "json+sealed", nil }

type bytesAsTheyAre struct{}

func (bytesAsTheyAre) Encode(_ string, v any) ([]byte, string, error) {
	return v.([]byte), store.JSON, nil
}
func (bytesAsTheyAre) Decode(_, _ string, data []byte, into any) error {
	return json.Unmarshal(data, into)
}

// TestGuards: recorded events do not change, whoever asks.
func TestGuards(t *testing.T) {
	t.Parallel()
	schema := pgtest.Schema(t)
	b, es := open(t, postgres.Options{Schema: schema})
	_, err := es.Append(t.Context(), "a", store.NoStream, store.Event{Type: "happened"})
	require.NoError(t, err)
	_, err = es.Head(t.Context())
	require.NoError(t, err)
	for _, table := range []string{"events", "links", "log"} {
		for _, statement := range []string{`update "%s".%s set append_seq = 7`, `delete from "%s".%s`, `truncate "%s".%s`} {
			_, err := b.DB().ExecContext(t.Context(), fmt.Sprintf(statement, schema, table))
			require.ErrorContains(t, err, "recorded events do not change", statement)
		}
	}
	for _, statement := range []string{
		`delete from "%s".streams where name = 'a'`, `delete from "%s".streams where name = 'none'`, `truncate "%s".streams`,
		`update "%s".streams set name = 'b' where name = 'a'`, `update "%s".streams set stream_id = 77`, `update "%s".streams set created_at = now()`,
	} {
		_, err := b.DB().ExecContext(t.Context(), fmt.Sprintf(statement, schema))
		require.ErrorContains(t, err, "recorded events do not change", statement)
	}

	t.Run("a hard delete permits nothing but itself", func(t *testing.T) {
		db := pgtest.Open(t, "pgx", pgtest.URL(t))
		db.SetMaxOpenConns(1) // so that what follows runs on the session that deleted
		one := store.New(postgres.New(db, &postgres.Options{Schema: schema}), &store.Options{HardDelete: true})
		defer one.Close() //nolint:errcheck // the test's
		_, err := one.Append(t.Context(), "b", store.NoStream, store.Event{Type: "happened"})
		require.NoError(t, err)
		require.NoError(t, one.Delete(t.Context(), "b", store.Any, store.HardDelete))
		_, err = db.ExecContext(t.Context(), fmt.Sprintf(`delete from "%s".events`, schema))
		require.Error(t, err)

		_, err = one.Append(t.Context(), "b", store.NoStream, store.Event{Type: "happened"})
		require.NoError(t, err)
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		require.NoError(t, one.WithTx(tx).Delete(t.Context(), "b", store.Any, store.HardDelete))
		_, err = tx.ExecContext(t.Context(), fmt.Sprintf(`delete from "%s".events`, schema))
		require.Error(t, err, "nor does the rest of the caller's transaction")
		require.NoError(t, tx.Rollback())
	})
}
