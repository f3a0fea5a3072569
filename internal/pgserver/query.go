package pgserver

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// query runs a statement on a connection of its own, by the simple protocol, and returns its rows as text.
func query(ctx context.Context, url, statement string) (rows [][]string, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		err = errors.Join(err, conn.Close(ctx))
	}()
	results, err := conn.PgConn().Exec(ctx, statement).ReadAll()
	if err != nil {
		return nil, err
	}
	for _, r := range results {
		if r.Err != nil {
			return nil, r.Err
		}
		for _, values := range r.Rows {
			row := make([]string, len(values))
			for i, v := range values {
				row[i] = string(v)
			}
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// value is the first column of the first row that a statement returns, "" if it returns none.
func value(ctx context.Context, url, statement string) (string, error) {
	rows, err := query(ctx, url, statement)
	if err != nil || len(rows) == 0 || len(rows[0]) == 0 {
		return "", err
	}
	return rows[0][0], nil
}

// admin runs the statements, also when ctx has ended, each within a minute.
func admin(ctx context.Context, url string, statements ...string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	for _, statement := range statements {
		_, err := query(ctx, url, statement)
		for deadlocked(err) && ctx.Err() == nil {
			_, err = query(ctx, url, statement)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// deadlocked reports whether a statement met one that a test has cancelled and that is still on its way, and should be run
// again.
func deadlocked(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "40P01"
}
