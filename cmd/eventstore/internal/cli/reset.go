package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/readers"
	"github.com/eventstore-go/eventstore/store"
)

func (a *app) projectionReset() *cobra.Command {
	var statements []string
	var empty, yes bool
	c := &cobra.Command{
		Use:   "reset NAME",
		Short: "Make a projection begin again with the first event",
		Long: `Make a projection apply all events again, from the first one. What it has parked is discarded.

Its tables must be empty, or each event would count twice. --sql gives the statement that empties them; the command runs it in the
transaction of the reset, so that both happen or neither. --tables-are-empty says that there is nothing to empty: no event has
been applied, or the handler overwrites what is there. One of the two is required.

--sql may be given several times. A statement that ends the transaction is refused.`,
		Example: `  eventstore projections reset balances --sql "truncate balances"
  eventstore projections reset balances --db events.db --sql "delete from balances" --yes`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(statements) == 0 && !empty:
				return usage("projection %q applies all events again after a reset: empty its tables with --sql \"truncate …\", or set --tables-are-empty", args[0])
			case len(statements) > 0 && empty:
				return usage("--sql and --tables-are-empty exclude each other")
			}
			return a.with(cmd.Context(), func(d *database.Database, es *store.Store) error {
				if _, err := es.Projection(cmd.Context(), args[0]); err != nil {
					return err
				}
				what := fmt.Sprintf("This makes projection %q apply all events again. Its tables are not emptied.", args[0])
				if !empty {
					what = fmt.Sprintf("This makes projection %q apply all events again, after: %s", args[0], quotedList(statements))
				}
				if err := a.confirm(yes, what, args[0]); err != nil {
					return err
				}
				if err := readers.ResetProjection(cmd.Context(), d, es, args[0], statements); err != nil {
					return err
				}
				if a.json() {
					return a.object(map[string]any{"name": args[0], "status": "begins anew", "statements": len(statements)})
				}
				if empty {
					return a.say("%s: begins anew", args[0])
				}
				return a.say("%s: begins anew, after %s of SQL", args[0], count(len(statements), "statement"))
			})
		},
	}
	c.Flags().StringArrayVar(&statements, "sql", nil, "`STATEMENT` that empties the projection's tables; may be given several times")
	c.Flags().BoolVar(&empty, "tables-are-empty", false, "the projection's tables need not be emptied")
	c.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return c
}
