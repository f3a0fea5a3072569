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

// parker is what parks events: projections or subscriptions.
type parker struct {
	command string // under which the commands stand
	one     string // what one is called
	use     string // its arguments
	args    int
	example string
	find    func(args []string, f *store.ParkedFilter) (name string) // completes the filter
}

var (
	parkedByProjection = parker{
		command: "projections", one: "projection", use: "NAME", args: 1, example: "balances",
		find: func(args []string, _ *store.ParkedFilter) string { return args[0] },
	}
	parkedBySubscription = parker{
		command: "subscriptions", one: "subscription", use: "STREAM NAME", args: 2, example: "'$all' mailer",
		find: func(args []string, f *store.ParkedFilter) string {
			f.Stream = args[0]
			return args[1]
		},
	}
)

// keyed adds the flag that chooses keys.
func keyed(c *cobra.Command) *store.ParkedFilter {
	f := &store.ParkedFilter{}
	c.Flags().StringArrayVar(&f.Keys, "key", nil, "only of this partition `KEY`, in most cases a stream; may be given several times")
	return f
}

func (a *app) parked(by parker) *cobra.Command {
	c := group(&cobra.Command{Use: "parked", Short: "List, replay and discard the events that a " + by.one + " has put aside"})
	c.AddCommand(a.listParked(by),
		a.changeParked(by, "replay", "Let the "+by.one+" handle parked events again, in order", "queued for replay", false,
			func(ctx context.Context, es *store.Store, name string, f *store.ParkedFilter) (int64, error) {
				return es.ReplayParked(ctx, name, f)
			}),
		a.changeParked(by, "discard", "Give parked events up: they are never handled", "discarded", true,
			func(ctx context.Context, es *store.Store, name string, f *store.ParkedFilter) (int64, error) {
				return es.DiscardParked(ctx, name, f)
			}))
	return c
}

func (a *app) listParked(by parker) *cobra.Command {
	c := &cobra.Command{
		Use:     "list " + by.use,
		Short:   "List parked events, in order",
		Example: fmt.Sprintf("  eventstore %s parked list %s", by.command, by.example),
		Args:    cobra.ExactArgs(by.args),
	}
	f := keyed(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return a.with(cmd.Context(), func(_ *database.Database, es *store.Store) error {
			events, err := es.Parked(cmd.Context(), by.find(args, f), f)
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
				switch {
				case e.Failed:
					why = e.Error
				case e.Attempts > 0:
					why = "waits to be handled again"
				}
				rows = append(rows, []string{number(e.Number), e.Key, fmt.Sprintf("%s@%d", e.Stream, e.Version), e.Type, number(e.Attempts), second(e.ParkedAt), why})
			}
			if a.json() {
				return nil
			}
			return a.table([]string{">NUMBER", "KEY", "EVENT", "TYPE", ">ATTEMPTS", "PARKED", "WHY"}, rows)
		})
	}
	return c
}

func (a *app) changeParked(by parker, verb, short, status string, asks bool,
	do func(ctx context.Context, es *store.Store, name string, f *store.ParkedFilter) (int64, error),
) *cobra.Command {
	yes := !asks
	c := &cobra.Command{
		Use:     verb + " " + by.use,
		Short:   short,
		Example: fmt.Sprintf("  eventstore %s parked %s %s --key account-7", by.command, verb, by.example),
		Args:    cobra.ExactArgs(by.args),
	}
	f := keyed(c)
	if asks {
		c.Flags().BoolVar(&yes, "yes", false, "don't ask")
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		name := by.find(args, f)
		return a.with(cmd.Context(), func(_ *database.Database, es *store.Store) error {
			if !yes {
				events, err := es.Parked(cmd.Context(), name, f)
				if err != nil {
					return err
				}
				what := fmt.Sprintf("This discards %s of %s %q: they are never handled.", count(len(events), "parked event"), by.one, name)
				if err := a.confirm(yes, what, name); err != nil {
					return err
				}
			}
			n, err := do(cmd.Context(), es, name, f)
			if err != nil {
				return err
			}
			if a.json() {
				return a.object(map[string]any{"name": name, "events": n})
			}
			return a.say("%s: %s %s", name, count(n, "event"), status)
		})
	}
	return c
}
