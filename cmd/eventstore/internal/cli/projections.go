package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/readers"
	"github.com/eventstore-go/eventstore/store"
)

func (a *app) projections() *cobra.Command {
	var partitions bool
	c := &cobra.Command{
		Use:     "projections",
		Short:   "List projections; reset and delete them, and deal with what they have parked",
		Example: `  eventstore projections --partitions`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(_ *database.Database, es *store.Store) error {
				list, err := es.Projections(cmd.Context())
				if err != nil {
					return err
				}
				var rows [][]string
				for _, p := range list {
					switch {
					case a.json():
						if err := a.object(readers.ProjectionOf(p)); err != nil {
							return err
						}
					case partitions:
						for _, i := range p.Partitions {
							rows = append(rows, []string{p.Name, number(i.Partition), number(i.Passed()), number(i.Lag()),
								i.Delay().Round(time.Millisecond).String(), number(i.Parked), second(i.StalledSince()), heldBy(i.SubscriptionInfo), lastError(i.SubscriptionInfo)})
						}
					default:
						rows = append(rows, []string{p.Name, p.Stream, number(len(p.Partitions)), number(p.Checkpoint()), number(p.Lag()), second(p.StalledSince()),
							fmt.Sprintf("%.0f", p.Rate()), number(p.Parked()), number(p.Members), orDash(p.ReplacedBy)})
					}
				}
				switch {
				case a.json():
					return nil
				case partitions:
					return a.table([]string{"NAME", ">PARTITION", ">CHECKPOINT", ">LAG", ">DELAY", ">PARKED", "SINCE", "OWNER", "LAST ERROR"}, rows)
				}
				return a.table([]string{"NAME", "STREAM", ">PARTITIONS", ">CHECKPOINT", ">LAG", "SINCE", ">PER SECOND", ">PARKED", ">PROCESSES", "REPLACED BY"}, rows)
			})
		},
	}
	c.Flags().BoolVar(&partitions, "partitions", false, "a row for each partition, with owner and last error")
	c.AddCommand(a.projectionReset(), a.projectionDelete(), a.parked(parkedByProjection))
	return c
}

func (a *app) projectionDelete() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a projection: its checkpoints and what it has parked",
		Long: `Delete a projection: its checkpoints and what it has parked, not its tables. A program that runs a projection of the same name
begins with the first event: empty its tables first.`,
		Example: `  eventstore projections delete balances`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(_ *database.Database, es *store.Store) error {
				if _, err := es.Projection(cmd.Context(), args[0]); err != nil {
					return err
				}
				what := fmt.Sprintf("This deletes projection %q: its checkpoints and parked events, not its tables.", args[0])
				if err := a.confirm(yes, what, args[0]); err != nil {
					return err
				}
				if err := es.DeleteProjection(cmd.Context(), args[0]); err != nil {
					return err
				}
				if a.json() {
					return a.object(map[string]string{"name": args[0], "status": "deleted"})
				}
				return a.say("%s: deleted; its tables are as they were", args[0])
			})
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return c
}
