package database

import (
	"database/sql"
	"net/url"
)

// execMode is the parameter of a connection string that says how pgx sends statements.
const execMode = "default_query_exec_mode"

// OpenPostgres opens a PostgreSQL database so that it works through a pooler in transaction mode, too: pgx sends each statement in one
// round trip and keeps none at the server, unless the URL has it do otherwise.
func OpenPostgres(u *url.URL) (*sql.DB, error) {
	return sql.Open("pgx", throughPoolers(u).String())
}

// throughPoolers returns u with the parameter, unless it has it. Its other parameters stay as they were written.
func throughPoolers(u *url.URL) *url.URL {
	if u.Query().Has(execMode) {
		return u
	}
	with := *u
	if with.RawQuery != "" {
		with.RawQuery += "&"
	}
	with.RawQuery += execMode + "=cache_describe"
	return &with
}
