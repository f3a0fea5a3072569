package sqlite_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

// The database itself refuses to change what is recorded.
func TestGuards(t *testing.T) {
	t.Parallel()
	es, db := newStore(t)
	ctx := t.Context()
	_, err := es.Append(ctx, "a", store.NoStream, events(3)...)
	require.NoError(t, err)
	page, err := es.Page(ctx, "a", nil)
	require.NoError(t, err)
	_, err = es.Link(ctx, "b", store.NoStream, store.IDs(page...)...)
	require.NoError(t, err)

	for _, query := range []string{
		"update events set data = ''",
		"update events set position = position + 10",
		"delete from events where position = 2",
		"update links set version = version + 1",
		"delete from links",
		"delete from streams",
		"update head set position = 1",
		"delete from head",
		"update head set last_stream = -1",
		"update epochs set epoch = epoch - 1",
		"insert into head (only, position) values (2, 0)",
	} {
		_, err := db.ExecContext(ctx, query)
		assert.Error(t, err, query)
	}

	// With the guards open for one stream they still stand for the others.
	_, err = es.Append(ctx, "other", store.NoStream, events(1)...)
	require.NoError(t, err)
	tx, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)
	defer tx.Rollback() //nolint:errcheck // that is the end
	_, err = tx.ExecContext(ctx, "update head set deleting = (select stream_id from streams where name = 'other')")
	require.NoError(t, err)
	for _, query := range []string{"delete from events where position = 2", "delete from links", "delete from streams where name = 'a'"} {
		_, err = tx.ExecContext(ctx, query)
		assert.Error(t, err, query)
	}
	_, err = tx.ExecContext(ctx, "delete from events where position = 4")
	assert.NoError(t, err)
}

// A hard delete closes the guards behind it.
func TestGuardsAfterHardDelete(t *testing.T) {
	t.Parallel()
	es, db := newStore(t)
	ctx := t.Context()
	_, err := es.Append(ctx, "a", store.NoStream, events(1)...)
	require.NoError(t, err)
	require.NoError(t, es.Delete(ctx, "a", store.Any, store.HardDelete))
	var deleting sql.NullInt64
	require.NoError(t, db.QueryRowContext(ctx, "select deleting from head").Scan(&deleting))
	require.False(t, deleting.Valid)
}

// The view shows events as people write them.
func TestRecordedView(t *testing.T) {
	t.Parallel()
	es, db := newStore(t)
	id := uuid.MustParse("0190a5a0-1111-7abc-8def-0123456789ab")
	for i, tc := range []struct {
		at   time.Time
		want string
	}{
		{time.Date(2026, 2, 3, 4, 5, 6, 7000, time.UTC), "2026-02-03T04:05:06.000007Z"},
		{time.Date(1969, 12, 31, 23, 59, 59, 999999000, time.UTC), "1969-12-31T23:59:59.999999Z"},
		{time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC), "0001-01-01T00:00:00.000001Z"},
		{time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC), "9999-12-31T23:59:59.999999Z"},
	} {
		id[15] = byte(i)
		_, err := es.Append(t.Context(), "a", store.Any, store.Event{ID: id, Type: "x", Data: map[string]int{"n": i}, CreatedAt: tc.at})
		require.NoError(t, err)
		var createdAt, eventID string
		var n int
		require.NoError(t, db.QueryRowContext(t.Context(),
			"select created_at, event_id, data->>'n' from recorded order by position desc limit 1").Scan(&createdAt, &eventID, &n))
		assert.Equal(t, tc.want, createdAt)
		assert.Equal(t, id.String(), eventID)
		assert.Equal(t, i, n)
	}
}
