package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/store"
)

const readHelp = `

With --type or --prefix the database leaves out the other events, so that their data is not fetched; it still looks at each of
them. --limit counts the events that are printed.`

// readFlags adds those of commands that read.
func readFlags(c *cobra.Command, o *store.ReadOptions) {
	c.Flags().Int64Var(&o.From, "from", 0, "first number (default: the first)")
	c.Flags().IntVarP(&o.Limit, "limit", "n", 0, "how many events (default: all)")
	c.Flags().BoolVar(&o.Backward, "backward", false, "from high numbers to low")
	c.Flags().Int64Var(&o.Before, "before", 0, "with --backward: only events below this number (default: begin at the last)")
	filterFlags(c, &o.Filter)
}

// filterFlags adds those that choose events.
func filterFlags(c *cobra.Command, f *store.EventFilter) {
	c.Flags().StringArrayVar(&f.Types, "type", nil, "only events of this `TYPE`; may be given several times")
	c.Flags().StringVar(&f.StreamPrefix, "prefix", "", "only events of streams whose names begin so; of a linked event, the stream that it was appended to")
}

func (a *app) streamRead() *cobra.Command {
	var o store.ReadOptions
	c := &cobra.Command{
		Use:   "read STREAM",
		Short: "Read a stream",
		Long:  `Read a stream.` + readHelp,
		Example: `  eventstore stream read account-7 --from 10 --limit 5
  eventstore stream read account-7 --type Deposited --type Withdrawn
  eventstore stream read account-7 --type Closed --backward --limit 1
  eventstore stream read account-7 -o json | jq .data`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.read(cmd.Context(), args[0], &o) },
	}
	readFlags(c, &o)
	return c
}

func (a *app) all() *cobra.Command {
	var o store.ReadOptions
	c := &cobra.Command{
		Use:   "all",
		Short: "Read all events, in their global order",
		Long:  `Read all events, in their global order.` + readHelp,
		Example: `  eventstore all --backward --limit 20
  eventstore all --prefix account- --type Deposited`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.read(cmd.Context(), store.All, &o) },
	}
	readFlags(c, &o)
	return c
}

func (a *app) read(ctx context.Context, stream string, o *store.ReadOptions) error {
	return a.with(ctx, func(_ *database.Database, es *store.Store) error {
		for e, err := range es.Stream(ctx, stream, o) {
			if err != nil {
				return err
			}
			if err := a.printEvent(e); err != nil {
				return err
			}
		}
		return nil
	})
}
