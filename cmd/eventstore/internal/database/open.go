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
	if q := u.Query(); !q.Has(execMode) {
		with := *u
		with.RawQuery += "&" + execMode + "=cache_describe"
		u = &with
	}
	return sql.Open("pgx", u.String())
}
