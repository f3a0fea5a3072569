package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
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

// absentError says that something is not there. Its exit code is codeNotFound.
type absentError struct{ what, advice string }

func (e *absentError) Error() string { return e.what }

// goneError is the error of a command that found nothing to destroy. Its exit code is codeNotFound.
type goneError struct{ err error }

func (e *goneError) Error() string { return e.err.Error() }
func (e *goneError) Unwrap() error { return e.err }

// databaseError says in which database an error came about.
type databaseError struct {
	where string // without a password
	err   error
}

func (e *databaseError) Error() string { return e.where + ": " + words(e.err) }
func (e *databaseError) Unwrap() error { return e.err }

// inDatabase makes an error name its database, unless it is about something else: how the command was called, a check's finding,
// or another database that the error names already.
func inDatabase(d *database.Database, err error) error {
	return inLocation(d.String(), err)
}

func inLocation(where string, err error) error {
	var wrong *usageError
	var location *database.LocationError
	var named *databaseError
	var none *database.NoStoreError
	var file *database.NotFoundError
	if err == nil || errors.Is(err, errFound) || errors.As(err, &wrong) || errors.As(err, &location) || errors.As(err, &named) ||
		errors.As(err, &none) || errors.As(err, &file) || commanded.Is(err) {
		return err
	}
	return &databaseError{where, err}
}

// failure is an error as JSON output has it.
type failure struct {
	Error  string `json:"error"`
	Advice string `json:"advice,omitempty"`
	Exit   int    `json:"exit"`
}

// fail prints an error, and what to do, and returns the exit code.
func (a *app) fail(ctx context.Context, cmd *cobra.Command, err error) int {
	if errors.Is(err, errFound) {
		return codeFound
	}
	f := failure{Error: "interrupted", Exit: codeInterrupted}
	if ctx.Err() == nil {
		f.Exit, f.Advice = judge(err)
		var run *runError
		if !errors.As(err, &run) {
			f.Exit, f.Advice = codeUsage, "see `"+cmd.CommandPath()+" --help`"
		}
		f.Error = strings.TrimSpace(words(err))
		for _, l := range a.secrets {
			f.Error = l.Redact(f.Error)
		}
	}
	if a.json() {
		_ = a.printJSON(a.err, f)
		return f.Exit
	}
	a.tell("eventstore: %s\n", lines(f.Error))
	if f.Advice != "" {
		a.tell("%s\n", f.Advice)
	}
	return f.Exit
}
