package cli

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded"
	"github.com/eventstore-go/eventstore/store"
)

// unreachable reports whether an error is of the way to a PostgreSQL server. That it has a method Timeout tells nothing: errors of
// files have one, too.
func unreachable(err error) bool {
	var connect *pgconn.ConnectError
	var network *net.OpError
	var name *net.DNSError
	return errors.As(err, &connect) || errors.As(err, &network) || errors.As(err, &name)
}

// judgePostgres judges errors of a PostgreSQL server, and of the way to it.
func judgePostgres(err error) (code int, advice string) {
	switch state := stateOf(err); {
	case state == "3D000":
		return codeUnreachable, "create the database with `eventstore create`, or name another one with --db"
	case state == "28P01":
		return codeUnreachable, "set the right user and password: in the URL, PGUSER and PGPASSWORD, or ~/.pgpass"
	case strings.HasPrefix(state, "28"):
		return codeUnreachable, "name another user, or have the server let this one in: see its pg_hba.conf and roles"
	case state == "42501":
		return codeUnreachable, "connect as a user who has that right, such as the owner of the store"
	case state == "53300":
		return codeUnreachable, "wait until connections are free, or raise the server's max_connections"
	case state == "53100":
		return codeUnreachable, "the disk of the server is full: free some space there"
	case state == "57P03":
		return codeUnreachable, "the server starts or stops: run the command again in a moment"
	case state == "25006":
		return codeUnreachable, "this server is a standby, or only reads: connect to the primary"
	case state == "" && refusedTLS(err.Error()):
		return codeUnreachable, "the server has no TLS: set sslmode=disable in the URL, or PGSSLMODE"
	case state == "" && unreachable(err):
		return codeUnreachable, "is the server running, and are host and port right?"
	case strings.HasPrefix(state, "08"), strings.HasPrefix(state, "57P"):
		return codeUnreachable, "the connection has ended: look into the server's log, and run the command again"
	}
	return 0, ""
}

// Result codes of SQLite.
const (
	sqlitePerm     = 3
	sqliteBusy     = 5
	sqliteLocked   = 6
	sqliteReadOnly = 8
	sqliteIO       = 10
	sqliteCorrupt  = 11
	sqliteFull     = 13
	sqliteCantOpen = 14
	sqliteAuth     = 23
	sqliteNotADB   = 26
)

// sqliteCode returns SQLite's primary result code, or 0.
func sqliteCode(err error) int {
	var coded interface{ Code() int }
	if errors.As(err, &coded) {
		return coded.Code() & 0xff
	}
	return 0
}

// judgeSQLite judges errors of SQLite.
func judgeSQLite(err error) (code int, advice string) {
	switch sqliteCode(err) {
	case sqliteNotADB:
		return codeUsage, "name a SQLite file, or a PostgreSQL server by postgres://user@host:5432/database"
	case sqliteCantOpen:
		return codeUnreachable, "is the folder there, and may this user read and write the file and the folder?"
	case sqliteReadOnly, sqlitePerm, sqliteAuth:
		return codeUnreachable, "give this user the right to write the file and its folder: SQLite keeps two more files beside it"
	case sqliteFull:
		return codeOther, "the disk is full: free some space, and run the command again"
	case sqliteIO:
		return codeOther, "is the disk full or broken, or does its file system have no locks?"
	case sqliteBusy, sqliteLocked:
		return codeUnreachable, "another program keeps the database locked: end its transaction, and run the command again"
	case sqliteCorrupt:
		return codeOther, "the file is damaged: restore a backup"
	}
	return 0, ""
}

// words is the text of an error without what only its authors understand: what a driver tried before it failed, and statements'
// names where the server's own words say it all.
func words(err error) string {
	var named *databaseError
	var read *commanded.ReadError
	var pg *pgconn.PgError
	var connect *pgconn.ConnectError
	switch {
	case errors.As(err, &named):
		return err.Error()
	case errors.As(err, &read) && (unreachable(err) || unreachableState(stateOf(err))):
		return fmt.Sprintf("the store of commanded/eventstore at %s can't be read: %s", read.Where, words(read.Err))
	case errors.As(err, &read):
		return err.Error()
	case errors.As(err, &connect):
		return "can't connect: " + strings.Join(reasons(connect.Unwrap()), "; ")
	case errors.As(err, &pg) && (pg.Code == "42501" || unreachableState(pg.Code)):
		return pgWords(pg)
	case errors.Is(err, store.ErrNotIndexed):
		return "correlations are not indexed"
	}
	switch sqliteCode(err) {
	case sqliteNotADB:
		return "the file is not a SQLite database"
	case sqliteCantOpen:
		return "the file can't be opened"
	case sqliteReadOnly:
		return "the file, or its folder, can't be written"
	case sqliteFull:
		return "the file can't grow"
	case sqliteBusy, sqliteLocked:
		return "the database is locked"
	}
	return strings.TrimPrefix(err.Error(), "store: ")
}

// unreachableState reports whether a state is about the server, not about a statement.
func unreachableState(state string) bool {
	return strings.HasPrefix(state, "28") || strings.HasPrefix(state, "57P") || slices.Contains([]string{"3D000", "53300", "53100", "25006"}, state)
}

func pgWords(pg *pgconn.PgError) string {
	text := pg.Message
	if pg.Detail != "" {
		text += fmt.Sprintf(" (%s)", strings.TrimSuffix(pg.Detail, "."))
	}
	return text
}

// reasons returns why no connection was made, once each. That a server has no TLS is left out where pgx went on without.
func reasons(err error) []string {
	var list []string
	var visit func(err error)
	visit = func(err error) {
		if several, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range several.Unwrap() {
				visit(e)
			}
			return
		}
		text := err.Error()
		var pg *pgconn.PgError
		var network *net.OpError
		var name *net.DNSError
		switch {
		case errors.As(err, &pg):
			text = pgWords(pg)
		case errors.As(err, &network):
			text = network.Error()
		case errors.As(err, &name):
			text = name.Error()
		default:
			if _, behind, found := strings.Cut(text, "): "); found { // what pgx writes before it: the address
				text = behind
			}
		}
		if !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	visit(err)
	if len(list) > 1 {
		list = slices.DeleteFunc(list, refusedTLS)
	}
	return list
}

// refusedTLS reports whether a text of pgx's says that the server has no TLS.
func refusedTLS(text string) bool { return strings.Contains(text, "server refused TLS connection") }
