package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/store"
)

func (a *app) types() *cobra.Command {
	var index bool
	c := &cobra.Command{
		Use:   "types",
		Short: "List event types, with their counts and their first and last events",
		Long: `List the types of the events in the store, the most frequent first: how many events have the type, and the position and time
of the first and the last of them.

This reads all events once, without their data, by one statement that waits for no writer: about one second of a CPU for each
million events (0.2 s for 200,000, measured with PostgreSQL 15 and SQLite), and up to one more where PostgreSQL compiles the statement (jit).

With --index it first creates an index of types, which "eventstore all --type" and reads by programs then use for types that at most
10,000 events have. That reads all events once, and blocks neither readers nor, in PostgreSQL, writers. Every append pays for the index
from then on: docs/reads.md says how much.`,
		Example: `  eventstore types
  eventstore types -o json | jq 'select(.last_at < "2026")'
  eventstore types --index
  eventstore all --type Deposited --limit 3`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(d *database.Database, es *store.Store) error {
				if index {
					end := a.busy("indexing")
					err := d.Backend.IndexTypes(cmd.Context())
					end()
					if err != nil {
						return err
					}
				}
				list, err := es.Types(cmd.Context())
				if err != nil {
					return err
				}
				var rows [][]string
				for _, t := range list {
					if a.json() {
						if err := a.object(typeLine{t.Type, t.Events, t.First, t.FirstAt, t.Last, t.LastAt}); err != nil {
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
	c.Flags().BoolVar(&index, "index", false, "first create the index of types, if it is missing")
	return c
}

// typeLine is a line of JSON about an event type.
type typeLine struct {
	Type    string    `json:"type"`
	Events  int64     `json:"events"`
	First   int64     `json:"first"` // position
	FirstAt time.Time `json:"first_at"`
	Last    int64     `json:"last"` // position
	LastAt  time.Time `json:"last_at"`
}
