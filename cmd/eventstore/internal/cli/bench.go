package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/measure"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

func (a *app) bench() *cobra.Command {
	var o measure.Options
	var html string
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure how fast the database appends, reads and delivers",
		Long: `Measure appends, reads, catching up and delivery on the database, in a store of its own, which is removed afterwards: a
schema, or in SQLite tables with a prefix, called eventstore_bench. The store of --schema is not touched. It is a load: don't
run it beside others who need the database.`,
		Example: `  eventstore bench --writers 1,16 --batch 1,100 --size 500
  eventstore bench --duration 10s --html bench.html`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := a.where()
			if err != nil {
				return err
			}
			if len(a.schemas) > 0 {
				return usage("bench has a schema of its own: leave --schema out")
			}
			schema := "eventstore_bench"
			if l.Kind == database.SQLite {
				schema += "_"
			}
			d, err := database.Open(l, database.Options{Schema: schema, Prepare: true})
			if err != nil {
				return err
			}
			defer func() { _ = d.Close() }()
			r, err := a.measure(cmd.Context(), d, o)
			if err != nil {
				return inDatabase(d, err)
			}
			if html != "" {
				if err := writePage(html, r); err != nil {
					return err
				}
			}
			return a.report(r)
		},
	}
	f := c.Flags()
	f.IntSliceVar(&o.Writers, "writers", []int{1, 4, 16}, "how many append at a time")
	f.IntSliceVar(&o.Batch, "batch", []int{1, 100}, "events per append")
	f.IntVar(&o.EventSize, "size", 300, "bytes of an event's data")
	f.IntVar(&o.Streams, "streams", 100, "streams that are appended to")
	f.IntVar(&o.Subscribers, "subscribers", 1, "subscriptions that receive all events each")
	f.DurationVar(&o.Duration, "duration", 3*time.Second, "how long each step takes")
	f.IntVar(&o.Events, "events", 0, "bound each step by so many events, not by --duration")
	f.StringVar(&html, "html", "", "write a page with charts to this file, too")
	return c
}

// measure makes the store, measures it, and removes it.
func (a *app) measure(ctx context.Context, d *database.Database, o measure.Options) (r measure.Report, err error) {
	status, err := migrate.StatusOf(ctx, d.Backend)
	if err != nil {
		return r, err
	}
	if status.Version > 0 {
		return r, usage("the %s is there already, of another bench that runs, or was killed; remove it with `eventstore drop --schema %s`", named(d), d.Schema)
	}
	defer func() {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		_, dropErr := d.Drop(clean, false)
		var none *database.NoStoreError
		if !errors.As(dropErr, &none) { // creating it has failed
			err = errors.Join(err, dropErr)
		}
	}()
	if err := migrate.Up(ctx, d.Backend); err != nil {
		return r, err
	}
	o.Backend = string(d.Kind)
	if o.Server, err = d.Version(ctx); err != nil {
		return r, err
	}
	es := store.New(d.Backend, nil)
	defer func() { err = errors.Join(err, es.Close()) }()
	end := a.busy("measuring")
	defer end()
	return measure.Run(ctx, es, o, func(s measure.Step) {
		if terminal(a.err) && !a.json() {
			a.tell("%-40s %12.0f events/s\n", s.Label(), s.PerSecond)
		}
	})
}

func writePage(path string, r measure.Report) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(r.HTML(f), f.Close())
}

func (a *app) report(r measure.Report) error {
	if a.json() {
		return a.object(r)
	}
	var rows [][]string
	latency := func(ms float64) string {
		if ms == 0 {
			return "-"
		}
		return fmt.Sprintf("%.2f", ms)
	}
	for _, s := range r.Steps {
		rows = append(rows, []string{s.Label(), number(s.Events), fmt.Sprintf("%.0f", s.PerSecond), latency(s.P50), latency(s.P95), latency(s.P99)})
	}
	if err := a.table([]string{"STEP", ">EVENTS", ">PER SECOND", ">P50 MS", ">P95 MS", ">P99 MS"}, rows); err != nil {
		return err
	}
	return a.say("%s %s, %s, %s per event, %s", r.Backend, r.Server, count(r.CPUs, "CPU"), count(r.EventSize, "byte"), count(r.Streams, "stream"))
}
