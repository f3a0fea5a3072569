package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/store"
)

// reading is what a command that reads is asked for.
type reading struct {
	store.ReadOptions
	filter store.EventFilter
}

const readHelp = `

With --type or --prefix the database leaves out the other events, so that their data is not fetched; it still looks at each of
them. With --backward they are fetched and left out here. --limit counts the events that are printed.`

// flags adds those of commands that read.
func (r *reading) flags(c *cobra.Command) {
	c.Flags().Int64Var(&r.From, "from", 0, "first number (default: the first, or with --backward the last)")
	c.Flags().IntVarP(&r.Limit, "limit", "n", 0, "how many events (default: all)")
	c.Flags().BoolVar(&r.Backward, "backward", false, "from high numbers to low")
	filterFlags(c, &r.filter)
}

// filterFlags adds those that choose events.
func filterFlags(c *cobra.Command, f *store.EventFilter) {
	c.Flags().StringArrayVar(&f.Types, "type", nil, "only events of this `TYPE`; may be given several times")
	c.Flags().StringVar(&f.StreamPrefix, "prefix", "", "only events of streams whose names begin so; of a linked event, the stream that it was appended to")
}

func (a *app) streamRead() *cobra.Command {
	var r reading
	c := &cobra.Command{
		Use:   "read STREAM",
		Short: "Read a stream",
		Long:  `Read a stream.` + readHelp,
		Example: `  eventstore stream read account-7 --from 10 --limit 5
  eventstore stream read account-7 --type Deposited --type Withdrawn
  eventstore stream read account-7 -o json | jq .data`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.read(cmd.Context(), args[0], &r) },
	}
	r.flags(c)
	return c
}

func (a *app) all() *cobra.Command {
	var r reading
	c := &cobra.Command{
		Use:   "all",
		Short: "Read all events, in their global order",
		Long:  `Read all events, in their global order.` + readHelp,
		Example: `  eventstore all --backward --limit 20
  eventstore all --prefix account- --type Deposited`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.read(cmd.Context(), store.All, &r) },
	}
	r.flags(c)
	return c
}

func (a *app) read(ctx context.Context, stream string, r *reading) error {
	return a.with(ctx, func(d *database.Database, es *store.Store) error {
		if !r.filter.IsZero() && !r.Backward {
			return a.readFiltered(ctx, d, es, stream, r)
		}
		o := r.ReadOptions
		if !r.filter.IsZero() {
			o.Limit = 0 // which counts those that are left out, too
		}
		printed := 0
		for e, err := range es.Stream(ctx, stream, &o) {
			if err != nil {
				return err
			}
			if !r.filter.Matches(&e) {
				continue
			}
			if err := a.printEvent(e); err != nil {
				return err
			}
			if printed++; printed == r.Limit {
				return nil
			}
		}
		return nil
	})
}

// readFiltered reads what the filter chooses, up to where the stream ended when it began.
func (a *app) readFiltered(ctx context.Context, d *database.Database, es *store.Store, stream string, r *reading) error {
	if r.From < 0 || r.Limit < 0 {
		return usage("--from and --limit must not be negative")
	}
	info, err := es.StreamInfo(ctx, stream)
	if err != nil {
		return err
	}
	printed := 0
	request := store.ReadRequest{Stream: stream, StreamID: info.ID, From: max(1, r.From), Limit: store.DefaultPageSize, Bytes: store.DefaultPageBytes}
	for {
		page, next, err := d.Backend.ReadFiltered(ctx, request, r.filter)
		if err != nil {
			return err
		}
		for _, e := range page {
			if !r.filter.Matches(&e) {
				continue // at an end of the page
			}
			if err := a.printEvent(e); err != nil {
				return err
			}
			if printed++; printed == r.Limit {
				return nil
			}
		}
		if next == request.From || next > info.Version {
			return nil
		}
		request.From = next
	}
}
