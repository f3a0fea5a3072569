package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// each calls do for each schema. One that fails does not keep the others from being done.
func (a *app) each(o database.Options, do func(d *database.Database) error) error {
	l, err := a.where()
	if err != nil {
		return err
	}
	schemas := a.schemas
	if len(schemas) == 0 {
		schemas = []string{""}
	}
	var errs []error
	found := false
	for _, schema := range schemas {
		o.Schema = schema
		d, err := database.Open(l, o)
		if err == nil {
			err = inDatabase(d, errors.Join(do(d), d.Close()))
		}
		if errors.Is(err, errFound) {
			found = true
			continue
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil || !found {
		return err
	}
	return errFound
}

// done is what JSON output says of a schema.
type done struct {
	Database string   `json:"database"`
	Schema   string   `json:"schema,omitempty"` // "" if it is about the whole database, or tables without a prefix
	Status   string   `json:"status"`
	Version  int      `json:"version,omitempty"`
	Latest   int      `json:"latest,omitempty"`
	Pending  []string `json:"pending,omitempty"`
	Left     []string `json:"left,omitempty"` // in the schema of a store that was dropped
}

// named is a schema in a sentence.
func named(d *database.Database) string {
	switch {
	case d.Kind == database.PostgreSQL:
		return fmt.Sprintf("schema %q", d.Schema)
	case d.Schema == "":
		return "tables without a prefix"
	}
	return fmt.Sprintf("tables with prefix %q", d.Schema)
}

func (a *app) create() *cobra.Command {
	var dataType string
	c := &cobra.Command{
		Use:   "create",
		Short: "Create the database, if it is missing, and the tables",
		Long: `Create the database, if it is missing, and the tables in it.

What is there already stays as it is. Any number of processes may do this at the same time.`,
		Example: `  eventstore create --db postgres://localhost/shop
  eventstore create --db postgres://localhost/shop --schema tenant_1 --schema tenant_2 --data-type jsonb
  eventstore create --db events.db`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := a.where()
			if err != nil {
				return err
			}
			created, err := database.CreateDatabase(cmd.Context(), l)
			if err != nil {
				return inLocation(l.String(), err)
			}
			if created {
				if err := a.createdDatabase(l); err != nil {
					return err
				}
			}
			return a.up(cmd.Context(), database.Options{DataType: dataType, Create: true}, 0)
		},
	}
	dataTypeFlag(c, &dataType)
	return c
}

func (a *app) createdDatabase(l database.Location) error {
	if a.json() {
		return a.object(done{Database: l.Name(), Status: "created"})
	}
	return a.say("created database %s", l.Name())
}

func dataTypeFlag(c *cobra.Command, dataType *string) {
	c.Flags().StringVar(dataType, "data-type", "", "PostgreSQL: the type of new columns for data: bytea (default), jsonb or json")
}

func (a *app) init() *cobra.Command {
	var dataType string
	c := &cobra.Command{
		Use:   "init",
		Short: "Create the tables in a database that is there",
		Example: `  eventstore init --db postgres://localhost/shop --schema events
  eventstore init --db events.db`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.up(cmd.Context(), database.Options{DataType: dataType}, 0)
		},
	}
	dataTypeFlag(c, &dataType)
	return c
}

func (a *app) drop() *cobra.Command {
	var yes, cascade, whole bool
	c := &cobra.Command{
		Use:   "drop",
		Short: "Destroy a store, a schema, or the whole database",
		Long: `Destroy a store: its tables, and in PostgreSQL its schema, if nothing else is in that and it is not "public". A schema that holds
no store is refused, and the exit code is 3; so is a database, or file, that is missing.

With --cascade the schema goes with all that is in it, with --database the whole database, or file. What will be
destroyed is shown, and the name is to be typed, unless --yes is set.`,
		Example: `  eventstore drop --db postgres://localhost/shop --schema tenant_1
  eventstore drop --db events.db --database --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if whole && cascade {
				return usage("--database and --cascade don't go together")
			}
			if whole {
				return absent(a.dropDatabase(cmd.Context(), yes))
			}
			return absent(a.each(database.Options{}, func(d *database.Database) error { return a.dropStore(cmd.Context(), d, yes, cascade) }))
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "don't ask")
	c.Flags().BoolVar(&cascade, "cascade", false, "PostgreSQL: the schema with all that is in it, also what is not the store's")
	c.Flags().BoolVar(&whole, "database", false, "the whole database, or file")
	return c
}

// absent makes the error of a drop a goneError if what was to be dropped is not there.
func absent(err error) error {
	var none *database.NoStoreError
	var file *database.NotFoundError
	if errors.As(err, &none) || errors.As(err, &file) || stateOf(err) == "3D000" {
		return &goneError{err}
	}
	return err
}

func (a *app) dropDatabase(ctx context.Context, yes bool) error {
	l, err := a.where()
	if err != nil {
		return err
	}
	if err := database.Reach(ctx, l); err != nil {
		return inLocation(l.String(), err)
	}
	if err := a.confirm(yes, fmt.Sprintf("This destroys the whole database %s, with everything in it.", l), l.Name()); err != nil {
		return err
	}
	if err := database.DropDatabase(ctx, l); err != nil {
		return inLocation(l.String(), err)
	}
	if a.json() {
		return a.object(done{Database: l.Name(), Status: "dropped"})
	}
	return a.say("dropped database %s", l.Name())
}

func (a *app) dropStore(ctx context.Context, d *database.Database, yes, cascade bool) error {
	if err := d.Holds(ctx); err != nil {
		return err
	}
	what, err := a.inStore(ctx, d)
	if err != nil {
		return err
	}
	if cascade {
		others, err := d.Others(ctx)
		if err != nil {
			return err
		}
		what += fmt.Sprintf("\nWith it goes all that is in the schema: %s.", quotedList(others))
	}
	name := d.Schema
	if name == "" {
		name = d.Name()
	}
	if err := a.confirm(yes, what, name); err != nil {
		return err
	}
	left, err := d.Drop(ctx, cascade)
	if err != nil {
		return err
	}
	if a.json() {
		return a.object(done{Database: d.Name(), Schema: d.Schema, Status: "dropped", Left: left})
	}
	if err := a.say("%s: dropped", named(d)); err != nil || len(left) == 0 {
		return err
	}
	return a.say("left in the schema: %s", quotedList(left))
}

// inStore says what a store holds.
func (a *app) inStore(ctx context.Context, d *database.Database) (string, error) {
	status, err := migrate.StatusOf(ctx, d.Backend)
	if err != nil {
		return "", err
	}
	what := fmt.Sprintf("This destroys the store in database %s, %s", d.Location, named(d))
	if !status.Usable() {
		return what + ".", nil
	}
	page, err := store.New(d.Backend, nil).Streams(ctx, &store.ListOptions{Page: 1, PageSize: 1})
	if err != nil {
		return "", err
	}
	head, err := d.Backend.Head(ctx)
	return fmt.Sprintf("%s: %s, events up to position %d.", what, count(page.Total, "stream"), head), err
}
