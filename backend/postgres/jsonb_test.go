package postgres

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// huge is an array of n numbers with 131,072 digits each, in ten bytes each.
func huge(n int) json.RawMessage {
	return json.RawMessage("[" + strings.TrimSuffix(strings.Repeat("1e131071,", n), ",") + "]")
}

// nearly is an array of a long string and n numbers. It has half as many bytes below the limit.
func nearly(limit, n int) json.RawMessage {
	numbers := strings.Repeat(",1", n)
	return json.RawMessage(`["` + strings.Repeat("x", limit-len(numbers)-len(`[""]`)-n/2) + `"` + numbers + "]")
}

// TestJSONBSize compares with the server what it makes of a text.
func TestJSONBSize(t *testing.T) {
	t.Parallel()
	db := pgtest.Open(t, "pgx", pgtest.URL(t))
	for text, atMost := range map[string]int64{ // how much more than the server's may be reckoned
		`{}`: 0, `[]`: 0, `null`: 0, `true`: 0, `"text, with: blanks "`: 0, `"\"\\,\n\u0001"`: 0, `"\u00e9\/"`: 5, `"é"`: 0,
		`[1,2,3]`: 0, ` { "a" : [ 1 , { "b" : null } ] } `: 0, `{"a":1,"a":22}`: 8,
		`0`: 0, `-1`: 0, `12.50`: 0, `-0.125`: 0, `1e0`: 2, `1e5`: 2, `-1E+5`: 1, `1.5e3`: 2, `1.25e1`: 1, `12e-1`: 1, `1e-5`: 1, `-12.5e-3`: 1,
		`0e100`: 2, `0.0e3`: 2, `0e-3`: 1, `0.001e2`: 4, `1e131071`: 2, `1e-16383`: 1, `[1e1000,-1e-1000,"1e1000"]`: 5,
		`123456789012345678901234567890.123456789`: 0, `"` + strings.Repeat("x", 1000) + `"`: 0, string(huge(5)): 10,
	} {
		var size int64
		require.NoError(t, db.QueryRowContext(t.Context(), `select octet_length($1::jsonb::text)`, text).Scan(&size), text)
		got := jsonbSize([]byte(text))
		assert.GreaterOrEqual(t, got, size, text)
		assert.LessOrEqual(t, got, size+atMost, text)
	}
	for _, text := range []string{`1e99999999999999999999`, `1e-99999999999999999999`, `1e131072`} {
		assert.Greater(t, jsonbSize([]byte(text)), int64(100_000), "%s: the server refuses it by itself", text)
	}
	for _, broken := range []string{`"`, `"\`, `-`, `1e`, `e`, ``} {
		assert.LessOrEqual(t, jsonbSize([]byte(broken)), int64(10+mostDigits), broken)
	}
}

// TestJSONBThatGrows: JSON that could be written but not read back is refused, and only that.
func TestJSONBThatGrows(t *testing.T) {
	t.Parallel()
	tooLong := map[string]store.Event{
		"data that no statement returns": {Type: "t", Data: huge(8_200)}, // 72 kB, 1 GB
		"data beyond the limit":          {Type: "t", Data: huge(1_000)}, // 9 kB, 131 MB
		"metadata beyond the limit":      {Type: "t", Data: 1, Metadata: map[string]any{"n": huge(9)}},
		"blanks":                         {Type: "t", Data: nearly(store.MaxData, 1_000)}, // the server writes a blank behind each comma
	}
	for _, driver := range pgtest.Drivers() {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			b := New(pgtest.Open(t, driver, pgtest.URL(t)), &Options{Schema: pgtest.Schema(t), DataType: "jsonb"})
			install(t, b)
			es := store.New(b, nil)
			ctx := t.Context()
			invalid := func(t *testing.T, err error, field string) {
				t.Helper()
				var invalid *store.InvalidError
				require.ErrorAs(t, err, &invalid)
				assert.Equal(t, field, invalid.Field)
			}
			for name, e := range tooLong {
				t.Run(name, func(t *testing.T) {
					field := "data"
					if e.Metadata != nil {
						field = "metadata"
					}
					_, err := es.Append(ctx, "s", store.Any, e)
					invalid(t, err, "events[0]."+field)
					_, err = es.Append(ctx, "s", store.Any, fresh(1)[0], e)
					invalid(t, err, "events[1]."+field)
					invalid(t, es.RecordSnapshot(ctx, store.Snapshot{SourceID: "s", Type: "t", Data: e.Data, Metadata: e.Metadata}), field)

					tx := begin(t, b)
					_, err = es.WithTx(tx).Append(ctx, "in tx", store.Any, e)
					invalid(t, err, "events[0]."+field)
					_, err = es.WithTx(tx).Append(ctx, "in tx", store.Any, fresh(1)...)
					require.NoError(t, err, "the transaction goes on")
					require.NoError(t, tx.Rollback())
				})
			}
			_, err := es.StreamInfo(ctx, "s")
			require.ErrorIs(t, err, store.ErrStreamNotFound)

			_, err = es.Append(ctx, "s", store.Any, store.Event{Type: "t", Data: huge(400), Metadata: map[string]any{"n": huge(6)}})
			require.NoError(t, err, "within the limits")
			page, err := es.Page(ctx, "s", nil)
			require.NoError(t, err)
			require.Len(t, page, 1)
			assert.Greater(t, len(page[0].Data), 50<<20)
		})
	}
}

// TestJSONBThatTheServerRefuses: what nests too deep for the server is invalid, and in a group only that is refused.
func TestJSONBThatTheServerRefuses(t *testing.T) {
	t.Parallel()
	deep := store.Event{Type: "t", Data: json.RawMessage(strings.Repeat("[", 5_000) + strings.Repeat("]", 5_000))}
	for _, driver := range pgtest.Drivers() {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			schema := pgtest.Schema(t)
			install(t, New(pgtest.Open(t, "pgx", pgtest.URL(t)), &Options{Schema: schema, DataType: "jsonb"}))
			b := New(pgtest.Open(t, driver, pgtest.URL(t)+"&max_stack_depth=100"), &Options{Schema: schema})
			t.Cleanup(func() { _ = b.Close() })
			es := store.New(b, nil)
			ctx := t.Context()
			refused := func(err error) {
				t.Helper()
				require.ErrorIs(t, err, store.ErrInvalid)
				require.NotErrorIs(t, err, store.ErrRetryTx)
				assert.False(t, b.Temporary(ctx, store.StepCommit, nil, err), "it would be refused again")
			}
			_, err := es.Append(ctx, "s", store.Any, deep)
			refused(err)
			_, err = es.Append(ctx, "s", store.Any, append(fresh(2), deep)...)
			refused(err)
			refused(es.RecordSnapshot(ctx, store.Snapshot{SourceID: "s", Type: "t", Data: deep.Data}))

			c := gather(t, b)
			first := c.add(ctx, "first", store.Any, fresh(1)...)
			culprit := c.add(ctx, "culprit", store.Any, deep)
			last := c.add(ctx, "last", store.Any, fresh(1)...)
			c.finish()
			require.NoError(t, first.err)
			refused(culprit.err)
			require.NoError(t, last.err)
		})
	}
}

// stateError is a server's error.
type stateError string

func (e stateError) Error() string    { return "invalid memory alloc request size 1073741824" }
func (e stateError) SQLState() string { return string(e) }

func TestJSONBBeyondMemory(t *testing.T) {
	t.Parallel()
	b := New(nil, &Options{DataType: "jsonb"})
	b.jsonOnly.Store(true)
	internal := fmt.Errorf("append: %w", stateError("XX000"))
	err := b.beyondMemory(largeJSON, internal)
	require.ErrorIs(t, err, store.ErrInvalid)
	assert.False(t, b.Temporary(t.Context(), store.StepCommit, nil, err))
	require.NotErrorIs(t, b.beyondMemory(largeJSON-1, internal), store.ErrInvalid, "so little takes no such memory")
	require.NotErrorIs(t, b.beyondMemory(largeJSON, stateError("XX001")), store.ErrInvalid)
	require.NotErrorIs(t, b.beyondMemory(largeJSON, errors.New("other")), store.ErrInvalid)
	require.NoError(t, b.beyondMemory(largeJSON, nil))
}

func BenchmarkJSONBSize(b *testing.B) {
	text := []byte(`{"order":"order-17","customer":{"name":"Ada","email":"ada@example.com"},"lines":[{"sku":"a1","qty":2,"price":12.50}],"total":25.00}`)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		jsonbSize(text)
	}
}
