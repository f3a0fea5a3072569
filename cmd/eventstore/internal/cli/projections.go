package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/store"
)

// projectionView is a projection as JSON output has it.
type projectionView struct {
	Name       string          `json:"name"`
	Stream     string          `json:"stream"`
	Checkpoint int64           `json:"checkpoint"`
	Lag        int64           `json:"lag"`
	Rate       float64         `json:"rate"`
	Parked     int64           `json:"parked"`
	Members    int             `json:"members"`
	ReplacedBy string          `json:"replaced_by,omitempty"`
	CreatedAt  time.Time       `json:"created_at"`
	Partitions []partitionView `json:"partitions"`
}

type partitionView struct {
	Partition int     `json:"partition"`
	Delay     float64 `json:"delay_seconds"`
	Parked    int64   `json:"parked"`
	Handled   int64   `json:"handled"`
	Rate      float64 `json:"rate"`
	subscriptionView
}

func projectionViewOf(p store.ProjectionInfo) projectionView {
	v := projectionView{p.Name, p.Stream, p.Checkpoint(), p.Lag(), p.Rate(), p.Parked(), p.Members, p.ReplacedBy, p.CreatedAt, nil}
	for _, i := range p.Partitions {
		v.Partitions = append(v.Partitions, partitionView{i.Partition, i.Delay().Seconds(), i.Parked, i.Handled, i.Rate, subscriptionViewOf(i.SubscriptionInfo)})
	}
	return v
}

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
						if err := a.object(projectionViewOf(p)); err != nil {
							return err
						}
					case partitions:
						for _, i := range p.Partitions {
							rows = append(rows, []string{p.Name, number(i.Partition), number(i.Passed()), number(i.Lag()),
								i.Delay().Round(time.Millisecond).String(), number(i.Parked), at(i.StalledSince()), heldBy(i.SubscriptionInfo), lastError(i.SubscriptionInfo)})
						}
					default:
						rows = append(rows, []string{p.Name, p.Stream, number(len(p.Partitions)), number(p.Checkpoint()), number(p.Lag()), at(p.StalledSince()),
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
	c.AddCommand(
		a.changeProjection("reset", "Make a projection begin again with the first event",
			"This makes projection %q apply all events again. Its tables are not emptied: do that, or its handler must.", "begins anew",
			func(ctx context.Context, es *store.Store, name string) error {
				return es.ResetProjection(ctx, name, nil)
			}),
		a.changeProjection("delete", "Delete a projection: its checkpoints and what it has parked",
			"This deletes projection %q: its checkpoints and parked events, not its tables.", "deleted",
			func(ctx context.Context, es *store.Store, name string) error { return es.DeleteProjection(ctx, name) }),
		a.parked(parkedByProjection))
	return c
}

// changeProjection is a command that asks, and does something to a projection.
func (a *app) changeProjection(verb, short, what, status string, do func(ctx context.Context, es *store.Store, name string) error) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:     verb + " NAME",
		Short:   short,
		Example: fmt.Sprintf("  eventstore projections %s balances", verb),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.confirm(yes, fmt.Sprintf(what, args[0]), args[0]); err != nil {
				return err
			}
			return a.with(cmd.Context(), func(_ *database.Database, es *store.Store) error {
				if err := do(cmd.Context(), es, args[0]); err != nil {
					return err
				}
				if a.json() {
					return a.object(map[string]string{"name": args[0], "status": status})
				}
				return a.say("%s: %s", args[0], status)
			})
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return c
}
