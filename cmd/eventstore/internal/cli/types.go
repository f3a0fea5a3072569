package cli

import (
	"github.com/spf13/cobra"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/stats"
	"github.com/eventstore-go/eventstore/store"
)

func (a *app) types() *cobra.Command {
	return &cobra.Command{
		Use:   "types",
		Short: "List event types, with their counts and their first and last events",
		Long: `List the types of the events in the store, the most frequent first: how many events have the type, and the position and time
of the first and the last of them.

This reads all events once, without their data, by one statement that waits for no writer: about one second of a CPU for each
million events (0.2 s for 200,000, measured with PostgreSQL 15 and SQLite), and up to one more where PostgreSQL compiles the statement (jit).`,
		Example: `  eventstore types
  eventstore types -o json | jq 'select(.last_at < "2026")'
  eventstore all --type Deposited --limit 3`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(d *database.Database, _ *store.Store) error {
				list, err := stats.Types(cmd.Context(), d)
				if err != nil {
					return err
				}
				var rows [][]string
				for _, t := range list {
					if a.json() {
						if err := a.object(t); err != nil {
							return err
						}
						continue
					}
					rows = append(rows, []string{t.Type, number(t.Events), number(t.First), second(t.FirstAt), number(t.Last), second(t.LastAt)})
				}
				if a.json() {
					return nil
				}
				return a.table([]string{"TYPE", ">EVENTS", ">FIRST", "FIRST AT", ">LAST", "LAST AT"}, rows)
			})
		},
	}
}
