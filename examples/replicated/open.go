package main

import (
	"context"
	"database/sql"
	"database/sql/driver"

	"github.com/canonical/go-dqlite/app"
)

// open opens a database of the cluster. The first use waits for a leader.
func open(node *app.App, database string) (*sql.DB, error) {
	plain, err := sql.Open(node.Driver(), database)
	if err != nil {
		return nil, err
	}
	defer plain.Close() //nolint:errcheck // it was never used
	inner, err := plain.Driver().(driver.DriverContext).OpenConnector(database)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector{inner}), nil
}

// connector makes each connection wait for the write lock, as the store wants it: dqlite's names of databases have no parameters.
type connector struct{ driver.Connector }

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := conn.(driver.QueryerContext).QueryContext(ctx, "pragma busy_timeout = 10000", nil)
	if err == nil {
		err = rows.Close()
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}
