// Package cli is the command line: each group of commands has a file, and root.go the list of them.
package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/store"
)

// app is what all commands share: where they read and write, and what the flags say.
type app struct {
	in       io.Reader
	out, err io.Writer

	db, schema, output string
	secrets            []database.Location // whose passwords are not to be printed
}

// Main runs the command line and returns its exit code.
func Main(args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := &app{in: in, out: out, err: errOut}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return codeOK
	}
	return a.fail(ctx, err)
}

// New returns the tree of commands, for the documentation.
func New() *cobra.Command {
	return (&app{in: strings.NewReader(""), out: io.Discard, err: io.Discard}).root()
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "eventstore",
		Short: "Set up, look into, move and verify stores of events",
		Long: `Eventstore sets up, looks into, moves and verifies stores of events in PostgreSQL and SQLite.

The database is given by --db or EVENTSTORE_DB: a URL such as postgres://user@host:5432/database, or the path of a SQLite
file. PostgreSQL takes a password from the URL, PGPASSWORD or ~/.pgpass; it is never printed.

Exit codes:
  0    all is well
  1    a check has found something: migrations are pending, a store is damaged
  2    the command line, or what was given to it, is wrong
  3    what was asked for is not there
  4    a conflict: another version was expected, or it is there already
  5    the database can't be reached, or its tables are missing or old
  70   another error
  130  interrupted`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	flags := root.PersistentFlags()
	flags.StringVar(&a.db, "db", "", "the database: a PostgreSQL URL or the path of a SQLite file (default: EVENTSTORE_DB)")
	flags.StringVar(&a.schema, "schema", "", "PostgreSQL: the store's schema (default \"eventstore\"); SQLite: what its tables' names begin with")
	flags.StringVarP(&a.output, "output", "o", "text", "output: text, or json (one object per line)")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if a.output != "text" && a.output != "json" {
			return fmt.Errorf("--output is %q, want text or json", a.output)
		}
		return nil
	}
	groups := []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{"setup", "Set up:", []*cobra.Command{a.create(), a.init(), a.migrate(), a.migrations(), a.drop()}},
		{"look", "Look inside:", []*cobra.Command{a.streams(), a.stream(), a.all(), a.event(), a.trace(), a.tail(), a.snapshot(), a.stats()}},
		{"run", "Readers:", []*cobra.Command{a.subscriptions(), a.projections()}},
		{"move", "Move:", []*cobra.Command{a.export(), a.importer()}},
		{"check", "Check:", []*cobra.Command{a.verify(), a.doctor(), a.bench()}},
	}
	for _, g := range groups {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, c := range g.commands {
			c.GroupID = g.id
			root.AddCommand(c)
		}
	}
	mark(root)
	return root
}

// mark makes every command say of its own errors that they are no wrong usage.
func mark(c *cobra.Command) {
	if run := c.RunE; run != nil {
		c.RunE = func(cmd *cobra.Command, args []string) error {
			if err := run(cmd, args); err != nil {
				return &runError{err}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		mark(sub)
	}
}

// runError is an error of a command, not of how it was called.
type runError struct{ err error }

func (e *runError) Error() string { return e.err.Error() }
func (e *runError) Unwrap() error { return e.err }

// usageError is an error of how a command was called that only the command could find.
type usageError struct{ reason string }

func (e *usageError) Error() string { return e.reason }

func usage(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// where returns where the database is.
func (a *app) where() (database.Location, error) {
	text := a.db
	if text == "" {
		text = os.Getenv("EVENTSTORE_DB")
	}
	l, err := database.Parse(text)
	a.secrets = append(a.secrets, l)
	return l, err
}

// open opens the database, for one schema.
func (a *app) open() (*database.Database, error) {
	if strings.Contains(a.schema, ",") {
		return nil, usage("this command takes one --schema")
	}
	l, err := a.where()
	if err != nil {
		return nil, err
	}
	return database.Open(l, database.Options{Schema: a.schema})
}

// with opens the store, whose tables must be there, and closes it behind f.
func (a *app) with(ctx context.Context, f func(d *database.Database, es *store.Store) error) (err error) {
	d, err := a.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := d.Check(ctx); err != nil {
		return err
	}
	return f(d, store.New(d.Backend, &store.Options{HardDelete: true, Logger: slog.New(slog.DiscardHandler)}))
}

// group is a command that only has commands below it.
func group(c *cobra.Command) *cobra.Command {
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usage("unknown command %q for %q", args[0], cmd.CommandPath())
		}
		return cmd.Help()
	}
	return c
}

// terminal reports whether a stream is one.
func terminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// confirm asks whether something may be destroyed: its name is to be typed. Without a terminal, --yes must have said so.
func (a *app) confirm(yes bool, what, name string) error {
	if yes {
		return nil
	}
	if !terminal(a.in) {
		return usage("%s\nnobody can be asked here: say --yes if that is what you want", what)
	}
	a.tell("%s\ntype %q to go on: ", what, name)
	typed, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil || strings.TrimSpace(typed) != name {
		return usage("nothing was changed")
	}
	return nil
}
