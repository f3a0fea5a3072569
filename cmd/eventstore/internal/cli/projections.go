package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
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
		a.parked())
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

// parkedView is a parked event as JSON output has it.
type parkedView struct {
	Number   int64     `json:"number"`
	Key      string    `json:"key"`
	Stream   string    `json:"stream"`
	Version  int64     `json:"version"`
	ID       uuid.UUID `json:"id"`
	Type     string    `json:"type"`
	Failed   bool      `json:"failed"`
	Error    string    `json:"error,omitempty"`
	Attempts int       `json:"attempts"`
	ParkedAt time.Time `json:"parked_at"`
}

func (a *app) parked() *cobra.Command {
	c := group(&cobra.Command{Use: "parked", Short: "List, replay and discard the events that a projection has put aside"})
	filtered := func(c *cobra.Command) *store.ParkedFilter {
		f := &store.ParkedFilter{}
		c.Flags().StringSliceVar(&f.Keys, "key", nil, "only of this partition key, in most cases a stream; may be given several times")
		return f
	}
	list := &cobra.Command{
		Use:     "list NAME",
		Short:   "List parked events, in order",
		Example: `  eventstore projections parked list balances`,
		Args:    cobra.ExactArgs(1),
	}
	listed := filtered(list)
	list.RunE = func(cmd *cobra.Command, args []string) error {
		return a.with(cmd.Context(), func(_ *database.Database, es *store.Store) error {
			events, err := es.Parked(cmd.Context(), args[0], listed)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, e := range events {
				if a.json() {
					if err := a.object(parkedView{e.Number, e.Key, e.Stream, e.Version, e.ID, e.Type, e.Failed, e.Error, e.Attempts, e.ParkedAt}); err != nil {
						return err
					}
					continue
				}
				why := "waits behind it"
				if e.Failed {
					why = e.Error
				}
				rows = append(rows, []string{number(e.Number), e.Key, fmt.Sprintf("%s@%d", e.Stream, e.Version), e.Type, number(e.Attempts), at(e.ParkedAt), why})
			}
			if a.json() {
				return nil
			}
			return a.table([]string{">NUMBER", "KEY", "EVENT", "TYPE", ">ATTEMPTS", "PARKED", "WHY"}, rows)
		})
	}
	c.AddCommand(list,
		a.changeParked("replay", "Let the projection apply parked events again, in order", "are replayed", filtered, false,
			func(ctx context.Context, es *store.Store, name string, f *store.ParkedFilter) (int64, error) {
				return es.ReplayParked(ctx, name, f)
			}),
		a.changeParked("discard", "Give parked events up: they are never applied", "are discarded", filtered, true,
			func(ctx context.Context, es *store.Store, name string, f *store.ParkedFilter) (int64, error) {
				return es.DiscardParked(ctx, name, f)
			}))
	return c
}

func (a *app) changeParked(verb, short, status string, filtered func(c *cobra.Command) *store.ParkedFilter, asks bool,
	do func(ctx context.Context, es *store.Store, name string, f *store.ParkedFilter) (int64, error),
) *cobra.Command {
	yes := !asks
	c := &cobra.Command{
		Use:     verb + " NAME",
		Short:   short,
		Example: fmt.Sprintf("  eventstore projections parked %s balances --key account-7", verb),
		Args:    cobra.ExactArgs(1),
	}
	f := filtered(c)
	if asks {
		c.Flags().BoolVar(&yes, "yes", false, "don't ask")
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := a.confirm(yes, fmt.Sprintf("This discards parked events of projection %q: they are never applied.", args[0]), args[0]); err != nil {
			return err
		}
		return a.with(cmd.Context(), func(_ *database.Database, es *store.Store) error {
			n, err := do(cmd.Context(), es, args[0], f)
			if err != nil {
				return err
			}
			if a.json() {
				return a.object(map[string]any{"name": args[0], "events": n})
			}
			return a.say("%s: %d events %s", args[0], n, status)
		})
	}
	return c
}
