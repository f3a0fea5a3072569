package cli

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// Exit codes; see the help of the root command.
const (
	codeOK          = 0
	codeFound       = 1
	codeUsage       = 2
	codeNotFound    = 3
	codeConflict    = 4
	codeUnreachable = 5
	codeOther       = 70
	codeInterrupted = 130
)

// errFound says that a check has found something, which was printed.
var errFound = errors.New("")

// fail prints an error, and what to do, and returns the exit code.
func (a *app) fail(ctx context.Context, err error) int {
	if errors.Is(err, errFound) {
		return codeFound
	}
	code, advice := judge(ctx, err)
	if code == codeInterrupted {
		a.tell("eventstore: interrupted\n")
		return code
	}
	text := strings.TrimSpace(err.Error())
	for _, l := range a.secrets {
		text = l.Redact(text)
	}
	a.tell("eventstore: %s\n", text)
	if advice != "" {
		a.tell("%s\n", advice)
	}
	return code
}

// judge returns the exit code of an error, and what to do about it.
func judge(ctx context.Context, err error) (code int, advice string) {
	var run *runError
	var wrong *usageError
	var location *database.LocationError
	var notFound *database.NotFoundError
	var schema *store.SchemaError
	var target *migrate.TargetError
	var chosen *transfer.ChosenError
	var taken *transfer.TakenError
	var lacking *transfer.RightsError
	var elsewhere *commanded.NotFoundError
	var version *commanded.VersionError
	var names *commanded.NamesError
	var rights *commanded.RightsError
	var mapping *commanded.MappingError
	var read *commanded.ReadError
	var pg *pgconn.PgError
	var connect *pgconn.ConnectError
	var network net.Error
	is := func(list ...error) bool {
		for _, target := range list {
			if errors.Is(err, target) {
				return true
			}
		}
		return false
	}
	switch {
	case ctx.Err() != nil:
		return codeInterrupted, ""
	case !errors.As(err, &run):
		return codeUsage, "see `eventstore --help`, or --help behind a command"
	case errors.As(err, &wrong), errors.As(err, &location), errors.As(err, &chosen):
		return codeUsage, ""
	case errors.As(err, &elsewhere), errors.As(err, &version), errors.As(err, &rights):
		return codeUnreachable, ""
	case errors.As(err, &names), errors.As(err, &mapping):
		return codeUsage, ""
	case errors.As(err, &schema):
		if schema.Have == 0 {
			return codeUnreachable, "create the tables with `eventstore init`, or name the right --schema"
		}
		if schema.Have > schema.Want {
			return codeUnreachable, ""
		}
		return codeUnreachable, "bring the tables up to date with `eventstore migrate`"
	case is(migrate.ErrNewer):
		return codeUnreachable, ""
	case is(migrate.ErrNameTaken):
		return codeConflict, ""
	case errors.As(err, &target):
		return codeUsage, ""
	case is(store.ErrWrongExpectedVersion, store.ErrStreamExists):
		return codeConflict, "look with `eventstore stream info`, and say what you expect now"
	case is(store.ErrStreamReplaced):
		return codeConflict, "the stream was hard deleted while it was read: read it again from the start"
	case is(store.ErrDuplicateEvent, store.ErrSnapshotConflict, store.ErrLeaseHeld, store.ErrStreamDeleted):
		return codeConflict, ""
	case is(transfer.ErrNotEmpty):
		return codeConflict, "import into another --schema, or say --merge to give the events new positions behind those that are there"
	case is(transfer.ErrOther):
		return codeConflict, "finish that import with its own archive, or remove what it has written with `eventstore import --abandon`"
	case errors.As(err, &lacking):
		return codeUnreachable, "grant these, or import as the owner of the tables"
	case errors.As(err, &taken):
		return codeConflict, ""
	case is(transfer.ErrMeanwhile, transfer.ErrTakenID):
		return codeConflict, "remove what was written with `eventstore import --abandon`, and import again with nobody appending"
	case is(store.ErrImporting):
		return codeConflict, transfer.Advice
	case is(transfer.ErrMoved):
		return codeFound, ""
	case is(archive.ErrReplaced):
		return codeConflict, "read from a server that has it, or begin anew: with `eventstore import --abandon`, or another archive"
	case is(transfer.ErrBehind):
		return codeConflict, ""
	case is(transfer.ErrOtherSource):
		return codeConflict, "remove the file, and its .state, to read this source from the beginning; or name another file"
	case is(archive.ErrExists):
		return codeConflict, ""
	case is(transfer.ErrNoImport, store.ErrStreamNotFound, store.ErrEventNotFound, store.ErrSubscriptionNotFound, store.ErrProjectionNotFound,
		store.ErrSnapshotNotFound, fs.ErrNotExist):
		return codeNotFound, ""
	case errors.As(err, &notFound):
		return codeUnreachable, ""
	case is(store.ErrNotIndexed):
		return codeOther, "call the backend's IndexCorrelations once, or say --index"
	case is(store.ErrInvalid, archive.ErrFormat, transfer.ErrNotJSON):
		return codeUsage, ""
	case errors.As(err, &read) && errors.As(err, &pg) && pg.Code == "3D000":
		return codeUnreachable, "this is the database of --from-commanded: is its URL right?"
	case errors.As(err, &read) && (errors.As(err, &connect) || errors.As(err, &network)):
		return codeUnreachable, "this is the server of --from-commanded: is it running, and are host, port, user and password right?"
	case errors.As(err, &pg) && pg.Code == "3D000":
		return codeUnreachable, "create the database with `eventstore create`"
	case errors.As(err, &connect), errors.As(err, &network):
		return codeUnreachable, "is the server running, and are host, port, user and password right?"
	}
	return codeOther, ""
}
