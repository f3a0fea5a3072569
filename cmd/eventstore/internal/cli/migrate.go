package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/migrate"
)

func (a *app) migrate() *cobra.Command {
	var to, from int
	var printSQL bool
	var dataType string
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the tables up to date, or print the SQL that does",
		Long: `Bring the tables up to date, or create them.

Any number of processes may do this at the same time: one does it, the others wait for it. All that is missing runs in one
transaction; if anything fails, everything stays as it was.

With --print-sql nothing is changed: the statements are printed, for psql, or as a migration of goose, Flyway, Atlas and the
like. Run them in one transaction. They note the version too, so that programs and this command find the tables up to date.
They fail on tables of another version than they are for. With --from, the database is not asked what is missing.

A PostgreSQL schema that was renamed, or restored under another name, is refused until this has made its functions fit
the new name.`,
		Example: `  eventstore migrate --schema tenant_1 --schema tenant_2
  eventstore migrate --print-sql | psql -v ON_ERROR_STOP=1 --single-transaction postgres://localhost/shop
  eventstore migrate --print-sql --from 0 --to 4 > migrations/20300201_eventstore.sql`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fixed := cmd.Flags().Changed("from")
			switch {
			case cmd.Flags().Changed("to") && to < 1:
				return usage("--to is %d, want a version from 1 on", to)
			case fixed && !printSQL:
				return usage("--from goes with --print-sql")
			case from < 0:
				return usage("--from is %d, want a version, or 0 for no tables", from)
			case !fixed:
				from = -1
			}
			o := database.Options{DataType: dataType}
			if printSQL {
				o.Create = fixed // nothing is opened
				return a.printSQL(cmd.Context(), o, from, to)
			}
			return a.up(cmd.Context(), o, to)
		},
	}
	f := c.Flags()
	f.IntVar(&to, "to", 0, "the version to stop at (default: the newest)")
	f.BoolVar(&printSQL, "print-sql", false, "print the SQL and change nothing")
	f.IntVar(&from, "from", 0, "with --print-sql: the version of the tables, 0 for none (default: what the database says)")
	dataTypeFlag(c, &dataType)
	return c
}

// up brings the tables of all schemas to a version.
func (a *app) up(ctx context.Context, o database.Options, to int) error {
	return a.each(o, func(d *database.Database) error {
		end := a.busy("migrating")
		r, err := migrate.Run(ctx, d.Backend, &migrate.Options{To: to})
		end()
		if err != nil {
			return err
		}
		after, err := migrate.StatusOf(ctx, d.Backend)
		if err != nil {
			return err
		}
		status, by := "up to date", ""
		switch {
		case len(r.Applied) > 0 && r.From == 0:
			status = "created"
		case len(r.Applied) > 0:
			status = "migrated"
		case r.Adopted:
			status = "fits its new name"
		case r.From < r.Version:
			by = ", another process has done it"
		case r.Version > after.Latest:
			by = " (newer than this program, which works with them)"
		}
		if a.json() {
			return a.object(done{Database: d.Name(), Schema: d.Schema, Status: status, Version: r.Version, Latest: after.Latest, Pending: after.Pending})
		}
		err = a.say("%s: %s%s, version %d", named(d), status, by, r.Version)
		for _, p := range after.Pending {
			err = errors.Join(err, a.say("  pending: %s", p))
		}
		return err
	})
}

// script is what JSON output has of the SQL for a schema.
type script struct {
	Database string `json:"database"`
	Schema   string `json:"schema"`
	From     int    `json:"from"`
	To       int    `json:"to"`
	SQL      string `json:"sql,omitempty"`
}

// printSQL prints what brings the tables of all schemas from a version, or if that is below 0 from the one they are at, to another.
func (a *app) printSQL(ctx context.Context, o database.Options, from, to int) error {
	return a.each(o, func(d *database.Database) error {
		at := from
		if at < 0 {
			s, err := migrate.StatusOf(ctx, d.Backend)
			if err != nil {
				return err
			}
			if s.Renamed {
				return errors.New("the schema was renamed: make its functions fit the new name with `eventstore migrate` first")
			}
			at = s.Version
		}
		text, last, err := migrate.Script(d.Backend, at, to)
		switch {
		case err != nil:
			return err
		case a.json():
			return a.object(script{d.Name(), d.Schema, at, max(at, last), text})
		case text == "":
			text = fmt.Sprintf("-- eventstore: %s: nothing to do, version %d\n", named(d), at)
		}
		return a.print(a.out, text)
	})
}

func (a *app) migrations() *cobra.Command {
	return &cobra.Command{
		Use:   "migrations",
		Short: "Show which migrations are pending; exit 1 if any are",
		Long: `Show how far the tables are, and which migrations are pending.

The exit code is 1 if any are, or if the tables are newer than this program works with: for scripts that deploy.`,
		Example: `  eventstore migrations --schema tenant_1 --schema tenant_2 || eventstore migrate --schema tenant_1 --schema tenant_2`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.each(database.Options{}, func(d *database.Database) error {
				s, err := migrate.StatusOf(cmd.Context(), d.Backend)
				if err != nil {
					return err
				}
				status, note := "up to date", ""
				if s.Version > s.Latest {
					note = " (newer than this program, which works with them)"
				}
				switch {
				case s.Version > s.Latest && !s.Usable():
					status = fmt.Sprintf("newer than this program, and need one that has migration %d", s.Oldest)
				case s.Version == 0:
					status = "no tables"
				case len(s.Pending) > 0:
					status = "pending"
				case s.Renamed:
					status = "renamed: migrate makes it fit its new name"
				}
				if a.json() {
					err = a.object(done{Database: d.Name(), Schema: d.Schema, Status: status, Version: s.Version, Latest: s.Latest, Pending: s.Pending})
				} else {
					err = a.say("%s: %s%s, version %d of %d", named(d), status, note, s.Version, max(s.Version, s.Latest))
					for _, p := range s.Pending {
						err = errors.Join(err, a.say("  pending: %s", p))
					}
				}
				if err == nil && status != "up to date" {
					err = errFound
				}
				return err
			})
		},
	}
}
