package sqlite

import (
	"net/url"
	"strings"

	"github.com/google/uuid"
)

// settings, in the words of modernc.org/sqlite: wait ten seconds for a lock, commits survive a power failure, foreign
// keys of the application's tables count, and every transaction takes the write lock when it begins.
const settings = "_pragma=busy_timeout(10000)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_txlock=immediate"

// DSN returns the data source name for the database in the file path, created if it is absent, for modernc.org/sqlite.
// It sets WAL mode, busy_timeout, synchronous, foreign_keys and immediate transactions. A read-only transaction
// (sql.TxOptions) is not immediate.
//
// DSN(":memory:") is [Memory]. With an empty path, or one with a NUL, which SQLite would cut off there, connections fail with an
// error that says so.
func DSN(path string) string {
	switch {
	case path == ":memory:":
		return Memory()
	case path == "":
		return unusable("the path of the database is empty; give sqlite.DSN the path of a file, or use sqlite.Memory")
	case strings.ContainsRune(path, 0):
		return unusable("the path of the database has a NUL in it; give sqlite.DSN the path of a file")
	case strings.HasPrefix(path, "//"):
		path = "//" + path // else what comes next would be a host
	}
	path = strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
	return "file:" + path + "?" + settings + "&_pragma=journal_mode(WAL)"
}

// unusable returns a data source name that no connection can be made with: SQLite's error gives the reason, in place of the name of
// a file system that it does not know.
func unusable(reason string) string {
	return "file:refused?vfs=" + url.PathEscape("none ("+reason+")")
}

// Memory returns the data source name for a new database in memory, another one at each call, for modernc.org/sqlite.
// All connections with this name share it, and it is gone when the last of them is closed; so leave the *sql.DB at
// least one idle connection, as it has by default, and set no limit on its lifetime. Memory has no WAL
// mode: a reader waits while a transaction that wrote is open, and fails after ten seconds.
func Memory() string {
	return "file:/" + uuid.NewString() + "?vfs=memdb&" + settings
}
