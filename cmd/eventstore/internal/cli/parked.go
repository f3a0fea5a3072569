package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/readers"
	"github.com/eventstore-go/eventstore/store"
)

// parker is what parks events: projections or subscriptions.
type parker struct {
	command string // under which the commands stand
	one     string // what one is called
	use     string // its arguments
	args    int
	example string
	reader  func(args []string) readers.Reader
}

var (
	parkedByProjection = parker{
		command: "projections", one: "projection", use: "NAME", args: 1, example: "balances",
		reader: func(args []string) readers.Reader { return readers.Reader{Name: args[0]} },
	}
	parkedBySubscription = parker{
		command: "subscriptions", one: "subscription", use: "STREAM NAME", args: 2, example: "'$all' mailer",
		reader: func(args []string) readers.Reader { return readers.Reader{Stream: args[0], Name: args[1]} },
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
		a.changeParked(by, "replay", "Let the "+by.one+" handle parked events again, in order", "queued for replay", false, readers.Reader.Replay),
		a.changeParked(by, "discard", "Give parked events up: they are never handled", "discarded", true, readers.Reader.Discard))
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
			events, err := by.reader(args).Parked(cmd.Context(), es, *f)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, e := range events {
				if a.json() {
					if err := a.object(e); err != nil {
						return err
					}
					continue
				}
				why := map[readers.Reason]string{readers.Behind: "waits behind it", readers.Failed: e.Error, readers.Queued: "waits to be handled again"}[e.Reason()]
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
	do func(r readers.Reader, ctx context.Context, es *store.Store, f store.ParkedFilter) (int64, error),
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
		r := by.reader(args)
		return a.with(cmd.Context(), func(_ *database.Database, es *store.Store) error {
			if !yes {
				events, err := r.Parked(cmd.Context(), es, *f)
				if err != nil {
					return err
				}
				what := fmt.Sprintf("This discards %s of %s %q: they are never handled.", count(len(events), "parked event"), by.one, r.Name)
				if err := a.confirm(yes, what, r.Name); err != nil {
					return err
				}
			}
			n, err := do(r, cmd.Context(), es, *f)
			if err != nil {
				return err
			}
			if a.json() {
				return a.object(map[string]any{"name": r.Name, "events": n})
			}
			return a.say("%s: %s %s", r.Name, count(n, "event"), status)
		})
	}
	return c
}
