package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// TestContextEndsBetweenTheStatementsOfALargeAppend: in a caller's transaction, which may go on and commit, nothing of
// the append is left.
func TestContextEndsBetweenTheStatementsOfALargeAppend(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	config, err := pgx.ParseConfig(pgtest.URL(t))
	require.NoError(t, err)
	db := sql.OpenDB(hooked{stdlib.GetConnector(*config), func(query string) {
		if strings.Contains(query, ".append") {
			cancel() // the first statement has been answered
		}
	}})
	defer db.Close() //nolint:errcheck // its server is a test's
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	es := store.New(b, nil).WithTx(tx)
	_, err = es.Append(ctx, "large", store.Any, eventsNamed(numbers("event", maxChunkEvents+10))...)
	require.ErrorIs(t, err, context.Canceled)
	_, err = es.Append(t.Context(), "small", store.Any, store.Event{Type: "happened"})
	require.NoError(t, err, "the transaction goes on")
	require.NoError(t, tx.Commit())
	require.Equal(t, []string{"small@1"}, all(t, b))
	_, err = store.New(b, nil).StreamInfo(t.Context(), "large")
	require.ErrorIs(t, err, store.ErrStreamNotFound)
}

// hooked calls after when the answer to a query has been read to its end.
type hooked struct {
	driver.Connector
	after func(query string)
}

func (h hooked) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := h.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return hookedConn{c.(*stdlib.Conn), h.after}, nil
}

type hookedConn struct {
	*stdlib.Conn
	after func(query string)
}

func (c hookedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.Conn.QueryContext(ctx, query, args)
	if err != nil {
		return nil, err
	}
	return hookedRows{rows, func() { c.after(query) }}, nil
}

type hookedRows struct {
	driver.Rows
	after func()
}

func (r hookedRows) Close() error {
	defer r.after()
	return r.Rows.Close()
}
