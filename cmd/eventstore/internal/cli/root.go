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
	"sync"
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

	db, output string
	schemas    []string
	secrets    []database.Location // whose passwords are not to be printed

	mu     sync.Mutex // guards what follows, and the order of what is printed
	status string     // the line at the bottom of the terminal, see print
}

// Main runs the command line and returns its exit code.
func Main(args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := &app{in: in, out: out, err: errOut}
	root := a.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return codeOK
	}
	return a.fail(ctx, cmd, err)
}

// New returns the tree of commands, for the documentation.
func New() *cobra.Command {
	return (&app{in: strings.NewReader(""), out: io.Discard, err: io.Discard}).root()
}

func (a *app) root() *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:   "eventstore",
		Short: "Set up, look into, move and verify stores of events",
		Long: `Eventstore sets up, looks into, moves and verifies stores of events in PostgreSQL and SQLite.

The database is given by --db or EVENTSTORE_DB: a URL such as postgres://user@host:5432/database, keys and values such as
"host=localhost dbname=shop", or the path of a SQLite file. For PostgreSQL, PGHOST, PGUSER and the other variables of psql fill in
what is left out; without --db and EVENTSTORE_DB the database is that of PGDATABASE. The password comes from the URL, PGPASSWORD
or ~/.pgpass; it is never printed.

Flags that may be given several times take one name each time; a comma is part of the name. With -o json everything is
printed as JSON, one object per line: results on the standard output; errors, notes and progress on the standard error.

Exit codes:
  0    success
  1    a check has found something: migrations are pending, a store is damaged
  2    the command line, or its input, is wrong
  3    not found: a stream, an event, a subscription, or what drop should destroy
  4    a conflict: another version was expected, or it is there already
  5    the database can't be reached or used, or its tables are missing or old
  70   another error
  130  interrupted`,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if version {
				return a.version()
			}
			return cmd.Help()
		},
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.Flags().BoolVar(&version, "version", false, "print the version of this program")
	flags := root.PersistentFlags()
	flags.StringVar(&a.db, "db", "", "the `DATABASE`: a PostgreSQL URL, or the path of a SQLite file (default: EVENTSTORE_DB, or PGDATABASE)")
	flags.StringArrayVar(&a.schemas, "schema", nil, "PostgreSQL: the store's `SCHEMA` (default \"eventstore\"); SQLite: what its tables' names begin with")
	flags.StringVarP(&a.output, "output", "o", "text", "output `FORMAT`: text, or json (one object per line)")
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
		{"look", "Look inside:", []*cobra.Command{a.streams(), a.stream(), a.all(), a.event(), a.trace(), a.tail(), a.snapshot(), a.stats(), a.types()}},
		{"run", "Readers:", []*cobra.Command{a.subscriptions(), a.projections()}},
		{"move", "Move:", []*cobra.Command{a.export(), a.importer()}},
		{"keys", "Forget:", []*cobra.Command{a.forget()}},
		{"check", "Check:", []*cobra.Command{a.verify(), a.doctor(), a.bench()}},
	}
	for _, g := range groups {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, c := range g.commands {
			c.GroupID = g.id
			root.AddCommand(c)
		}
	}
	root.SetFlagErrorFunc(wrongFlag)
	mark(root)
	a.complete(root)
	if width := columns(a.out); width > 0 {
		fit(root, width)
	}
	return root
}

// mark makes every command say of its own errors that they are no wrong usage, and every command that has others below it refuse
// what is none of them.
func mark(c *cobra.Command) {
	if run := c.RunE; run != nil {
		c.RunE = func(cmd *cobra.Command, args []string) error {
			if err := run(cmd, args); err != nil {
				return &runError{err}
			}
			return nil
		}
	}
	if args := c.Args; c.HasSubCommands() {
		c.Args = onlyCommands
	} else {
		c.Args = func(cmd *cobra.Command, list []string) error {
			if err := args(cmd, list); err != nil {
				return fmt.Errorf("%w; want: %s", err, cmd.UseLine())
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

// schema returns the one schema of --schema; "" is the default.
func (a *app) schema() (string, error) {
	switch len(a.schemas) {
	case 0:
		return "", nil
	case 1:
		return a.schemas[0], nil
	}
	return "", usage("this command takes one --schema")
}

// open opens the database, for one schema.
func (a *app) open() (*database.Database, error) {
	schema, err := a.schema()
	if err != nil {
		return nil, err
	}
	l, err := a.where()
	if err != nil {
		return nil, err
	}
	return database.Open(l, database.Options{Schema: schema})
}

// with opens the store, whose tables must be there, and closes it behind f.
func (a *app) with(ctx context.Context, f func(d *database.Database, es *store.Store) error) (err error) {
	d, err := a.open()
	if err != nil {
		return err
	}
	defer func() { err = inDatabase(d, errors.Join(err, d.Close())) }()
	if err := ready(ctx, d); err != nil {
		return err
	}
	return f(d, store.New(d.Backend, &store.Options{HardDelete: true, Logger: slog.New(slog.DiscardHandler)}))
}

// ready returns why a store can't be used, if it can't. If there is none, the error names those that are in the database.
func ready(ctx context.Context, d *database.Database) error {
	err := d.Check(ctx)
	var schema *store.SchemaError
	if errors.As(err, &schema) && schema.Have == 0 && !schema.Renamed {
		if none := d.Holds(ctx); none != nil {
			return none
		}
	}
	return err
}

// group is a command that only has commands below it.
func group(c *cobra.Command) *cobra.Command {
	c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
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
		return usage("%s\nnot a terminal: pass --yes to confirm", what)
	}
	a.tell("%s\ntype %s to confirm: ", lines(what), typed(name))
	answer, err := bufio.NewReader(a.in).ReadString('\n')
	if answer = strings.TrimSpace(answer); err != nil || answer != name && answer != typed(name) {
		return usage("nothing was changed")
	}
	return nil
}

// typed is a name as it is to be typed: quoted if it has what a terminal can't show, or begins or ends with a space.
func typed(name string) string {
	if clean(name) != name || strings.TrimSpace(name) != name {
		return fmt.Sprintf("%q", name)
	}
	return name
}
