package cli

import (
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/store"
)

func (a *app) trace() *cobra.Command {
	var index bool
	c := &cobra.Command{
		Use:   "trace CORRELATION-ID",
		Short: "Draw what caused what in a correlation",
		Long: `Draw all events with a correlation id as a tree: each below the event that caused it. Those whose cause is not among
them, such as a command's id, stand at the left.

This needs an index that a store does not have at first. --index creates it: that reads all events once, and blocks neither readers
nor writers.`,
		Example: `  eventstore trace 0192b0a4-7b11-7c7e-9a57-2d0b8a1f4c11`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := uuid.Parse(args[0])
			if err != nil {
				return usage("invalid correlation id %q: want a UUID", args[0])
			}
			return a.with(cmd.Context(), func(d *database.Database, es *store.Store) error {
				if index {
					end := a.busy("indexing")
					defer end()
					if err := d.Backend.IndexCorrelations(cmd.Context()); err != nil {
						return err
					}
				}
				var list []store.Recorded
				for e, err := range es.Correlation(cmd.Context(), id) {
					if err != nil {
						return err
					}
					list = append(list, e)
				}
				if len(list) == 0 {
					return &absentError{fmt.Sprintf("no event has the correlation id %s", id), "look at an event for its correlation id: eventstore event ID"}
				}
				return a.drawTree(list)
			})
		},
	}
	c.Flags().BoolVar(&index, "index", false, "create the index that this needs, if it is missing")
	return c
}

// traced is an event of a trace as JSON output has it: those below come behind it, deeper.
type traced struct {
	Depth int `json:"depth"`
	recorded
}

// drawTree prints events below those that caused them, in their order.
func (a *app) drawTree(list []store.Recorded) error {
	there := map[uuid.UUID]bool{}
	for _, e := range list {
		there[e.ID] = true
	}
	below := map[uuid.UUID][]store.Recorded{}
	var roots []store.Recorded
	for _, e := range list {
		if there[e.CausationID] && e.CausationID != e.ID {
			below[e.CausationID] = append(below[e.CausationID], e)
		} else {
			roots = append(roots, e)
		}
	}
	drawn := map[uuid.UUID]bool{}
	var draw func(e store.Recorded, depth int, before, mark, behind string) error
	draw = func(e store.Recorded, depth int, before, mark, behind string) error {
		drawn[e.ID] = true
		if a.json() {
			if err := a.objectWith(traced{depth, viewOf(e)}, dataOf(e.Data), e.Metadata); err != nil {
				return err
			}
		} else if err := a.say("%s%s%s  %s@%d  %s", before, mark, a.green(e.Type), e.Stream, e.Version, e.ID); err != nil {
			return err
		}
		children := slices.DeleteFunc(slices.Clone(below[e.ID]), func(c store.Recorded) bool { return drawn[c.ID] })
		for i, c := range children {
			m, b := "├── ", "│   "
			if i == len(children)-1 {
				m, b = "└── ", "    "
			}
			if err := draw(c, depth+1, before+behind, m, b); err != nil {
				return err
			}
		}
		return nil
	}
	for _, e := range append(roots, list...) { // what is in a circle is below no root
		if !drawn[e.ID] {
			if err := draw(e, 0, "", "", ""); err != nil {
				return err
			}
		}
	}
	return nil
}
