package cli

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// finishImport is what to do about an unfinished import.
const finishImport = "run the same import again to finish it (with --finish if the store follows its source), or remove what it has written with `eventstore import --abandon`"

// judge returns the exit code of a command's error, and the next step.
func judge(err error) (code int, advice string) {
	var gone *goneError
	var absent *absentError
	var none *database.NoStoreError
	var file *database.NotFoundError
	var beyond *database.BeyondPoolerError
	switch {
	case errors.As(err, &beyond):
		return codeUnreachable, "create it by the server's own URL"
	case errors.As(err, &absent):
		return codeNotFound, absent.advice
	case errors.As(err, &gone) && errors.As(err, &none):
		return codeNotFound, "nothing was dropped; " + listing(none.Stores, "name the store with --schema", "name another database with --db")
	case errors.As(err, &gone):
		return codeNotFound, "nothing was dropped; name another database with --db"
	case errors.As(err, &none):
		return codeUnreachable, listing(none.Stores, "name the store with --schema, or create its tables with `eventstore init`", "create its tables with `eventstore init`")
	case errors.As(err, &file):
		return codeUnreachable, "create it with `eventstore create`, or name another file with --db"
	}
	for _, of := range []func(error) (int, string){judgeImport, judgeKeys, judgeStore, judgePostgres, judgeSQLite, judgeFile} {
		if code, advice := of(err); code != 0 {
			return code, advice
		}
	}
	var statement *database.StatementError
	if errors.As(err, &statement) {
		return codeUsage, "nothing was changed"
	}
	return codeOther, ""
}

// listing is advice that names the stores that are in a database, if there are any, and advice if there are none.
func listing(stores []string, some, otherwise string) string {
	if len(stores) == 0 {
		return otherwise
	}
	const most = 10
	list := make([]string, 0, most)
	for _, s := range stores[:min(len(stores), most)] {
		list = append(list, quoted(s))
	}
	if len(stores) > most {
		list = append(list, "…")
	}
	return some + "; the database has stores in: " + strings.Join(list, ", ")
}

// judgeStore judges errors of the library.
func judgeStore(err error) (code int, advice string) {
	var wrong *usageError
	var location *database.LocationError
	var schema *store.SchemaError
	var target *migrate.TargetError
	switch {
	case errors.As(err, &wrong), errors.As(err, &location):
		return codeUsage, ""
	case errors.As(err, &schema) && schema.Have == 0 && !schema.Renamed:
		return codeUnreachable, "create the tables with `eventstore init`, or name the right --schema"
	case errors.As(err, &schema) && schema.Have > schema.Want, errors.Is(err, migrate.ErrNewer):
		return codeUnreachable, "" // the error says which program it takes
	case errors.As(err, &schema):
		return codeUnreachable, "bring the tables up to date with `eventstore migrate`"
	case errors.Is(err, migrate.ErrNameTaken):
		return codeConflict, "" // it names --schema
	case errors.As(err, &target):
		return codeUsage, ""
	case is(err, store.ErrWrongExpectedVersion, store.ErrStreamExists):
		return codeConflict, "look with `eventstore stream info`, and set --expected to what you expect now"
	case is(err, store.ErrStreamReplaced):
		return codeConflict, "read the stream again from the start"
	case is(err, store.ErrStreamDeleted):
		return codeConflict, "undo its soft delete with `eventstore stream undelete`; its events are still in `eventstore all`"
	case is(err, store.ErrStreamNotDeleted):
		return codeConflict, "there is nothing to undo"
	case is(err, store.ErrDuplicateEvent):
		return codeConflict, "to append or copy events that are in the store already, set --new-ids or leave out their ids"
	case is(err, store.ErrSnapshotConflict):
		return codeConflict, "look with `eventstore snapshot show`"
	case is(err, store.ErrLeaseHeld):
		return codeConflict, "stop the program that runs it: `eventstore subscriptions` shows which"
	case is(err, store.ErrImporting):
		return codeConflict, finishImport
	case is(err, store.ErrStreamNotFound):
		return codeNotFound, "list the streams with `eventstore streams`"
	case is(err, store.ErrSubscriptionNotFound):
		return codeNotFound, "list the subscriptions with `eventstore subscriptions`"
	case is(err, store.ErrProjectionNotFound):
		return codeNotFound, "list the projections with `eventstore projections`"
	case is(err, store.ErrEventNotFound):
		return codeNotFound, "look for its id with `eventstore all -o json`"
	case is(err, store.ErrSnapshotNotFound):
		return codeNotFound, "snapshots are stored under the name that the program gives: in most cases that of a stream"
	case is(err, store.ErrNotIndexed):
		return codeOther, "create the index with `eventstore trace ID --index`: that reads all events once, and blocks neither readers nor writers"
	case is(err, store.ErrUnsupportedDatabase):
		return codeUnreachable, "name another database with --db"
	case is(err, store.ErrTimeout):
		return codeOther, "raise the statement_timeout of this user, such as by PGOPTIONS='-c statement_timeout=0'"
	case is(err, store.ErrInvalid):
		return codeUsage, ""
	}
	return 0, ""
}

// judgeImport judges errors of archives, imports and stores of commanded/eventstore.
func judgeImport(err error) (code int, advice string) {
	var chosen *transfer.ChosenError
	var taken *transfer.TakenError
	var lacking *transfer.RightsError
	var elsewhere *commanded.NotFoundError
	var version *commanded.VersionError
	var rights *commanded.RightsError
	var names *commanded.NamesError
	var mapping *commanded.MappingError
	var read *commanded.ReadError
	switch {
	case errors.As(err, &elsewhere), errors.As(err, &version), errors.As(err, &rights):
		return codeUnreachable, ""
	case errors.As(err, &chosen), errors.As(err, &names), errors.As(err, &mapping):
		return codeUsage, ""
	case errors.As(err, &lacking):
		return codeUnreachable, "grant these, or import as the owner of the tables"
	case errors.As(err, &taken):
		return codeConflict, ""
	case errors.As(err, &read) && stateOf(err) == "3D000":
		return codeUnreachable, "this is the database of --from-commanded: is its URL right?"
	case errors.As(err, &read) && strings.HasPrefix(stateOf(err), "28"):
		return codeUnreachable, "this is the server of --from-commanded: are user and password right?"
	case errors.As(err, &read) && unreachable(err):
		return codeUnreachable, "this is the server of --from-commanded: is it running, and are host and port right?"
	case is(err, transfer.ErrNotEmpty):
		return codeConflict, "import into another --schema, or set --merge to give the events new positions behind those that are there"
	case is(err, transfer.ErrOther):
		return codeConflict, "finish that import with its own archive, or remove what it has written with `eventstore import --abandon`"
	case is(err, transfer.ErrMeanwhile, transfer.ErrTakenID):
		return codeConflict, "remove what was written with `eventstore import --abandon`, and import again with nobody appending"
	case is(err, transfer.ErrMoved):
		return codeFound, ""
	case is(err, archive.ErrReplaced):
		return codeConflict, "read from a server that has it, or begin anew: with `eventstore import --abandon`, or another archive"
	case is(err, transfer.ErrOtherSource):
		return codeConflict, "remove the file, and its .state, to read this source from the beginning; or name another file"
	case is(err, transfer.ErrBehind, archive.ErrExists):
		return codeConflict, ""
	case is(err, transfer.ErrNoImport):
		return codeNotFound, ""
	case is(err, archive.ErrFormat, transfer.ErrNotJSON):
		return codeUsage, ""
	}
	return 0, ""
}

// judgeFile judges errors of the file system.
func judgeFile(err error) (code int, advice string) {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return codeOther, "the disk is full: free some space, and run the command again"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return codeOther, "give this user the right to read and write there, or name another file"
	case errors.Is(err, fs.ErrNotExist):
		return codeNotFound, "is the path right?"
	case errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.ENOTDIR):
		return codeUsage, "name a file"
	}
	return 0, ""
}

func is(err error, list ...error) bool {
	for _, target := range list {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// stateOf returns the SQLSTATE of a server's error, or "".
func stateOf(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}
