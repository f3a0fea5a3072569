package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/readers"
	"github.com/eventstore-go/eventstore/store"
)

// lastError is the last error as a table has it: with its time, and the event that it is about.
func lastError(s store.SubscriptionInfo) string {
	switch {
	case s.LastError == "":
		return "-"
	case s.LastErrorNumber == 0:
		return fmt.Sprintf("%s: %s", second(s.LastErrorAt), s.LastError)
	}
	return fmt.Sprintf("%s, event %d: %s", second(s.LastErrorAt), s.LastErrorNumber, s.LastError)
}

// heldBy says who runs a subscription.
func heldBy(s store.SubscriptionInfo) string {
	if !s.Held {
		return "-"
	}
	return s.Owner
}

func (a *app) subscriptions() *cobra.Command {
	c := &cobra.Command{
		Use:   "subscriptions",
		Short: "List persistent subscriptions; reset and delete them, and deal with what they have parked",
		Long: `List persistent subscriptions; reset and delete them, and deal with what they have parked.

SINCE is since when a subscription has not moved, although there are events behind its checkpoint. OWNER is the process that runs
it. LAST ERROR goes away when its event, or one behind it, has been dealt with.`,
		Example: `  eventstore subscriptions
  eventstore subscriptions -o json | jq 'select(.lag > 1000)'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(_ *database.Database, es *store.Store) error {
				list, err := es.Subscriptions(cmd.Context())
				if err != nil {
					return err
				}
				var rows [][]string
				for _, s := range list {
					if a.json() {
						if err := a.object(readers.SubscriptionOf(s)); err != nil {
							return err
						}
						continue
					}
					rows = append(rows, []string{s.Stream, s.Name, number(s.Passed()), number(s.Head), number(s.Lag()), number(s.Parked), second(s.StalledSince()), heldBy(s), lastError(s)})
				}
				if a.json() {
					return nil
				}
				return a.table([]string{"STREAM", "NAME", ">CHECKPOINT", ">HEAD", ">LAG", ">PARKED", "SINCE", "OWNER", "LAST ERROR"}, rows)
			})
		},
	}
	c.AddCommand(a.subscriptionReset(), a.subscriptionDelete(), a.parked(parkedBySubscription))
	return c
}

// findSubscription returns a subscription, before anybody is asked to confirm something about it.
func findSubscription(ctx context.Context, es *store.Store, stream, name string) (store.SubscriptionInfo, error) {
	s, err := readers.FindSubscription(ctx, es, stream, name)
	if errors.Is(err, store.ErrSubscriptionNotFound) {
		err = &absentError{fmt.Sprintf("there is no subscription %q on %q", name, stream), "list the subscriptions with `eventstore subscriptions`"}
	}
	return s, err
}

func (a *app) subscriptionReset() *cobra.Command {
	var to int64
	var yes bool
	c := &cobra.Command{
		Use:   "reset STREAM NAME",
		Short: "Set a subscription's checkpoint",
		Long: `Set a subscription's checkpoint, back or forward: the next event is the one behind it. Back, events come again; forward,
events are left out; so it asks, unless --yes is set. Parked events are discarded. Whoever runs the subscription goes on from there.`,
		Example: `  eventstore subscriptions reset '$all' mailer --to 1200 --yes`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(_ *database.Database, es *store.Store) error {
				s, err := findSubscription(cmd.Context(), es, args[0], args[1])
				if err != nil {
					return err
				}
				what := fmt.Sprintf("This sets the checkpoint of subscription %q on %q from %d to %d, and discards what it has parked.", args[1], args[0], s.Passed(), to)
				if err := a.confirm(yes, what, args[1]); err != nil {
					return err
				}
				if err := es.ResetSubscription(cmd.Context(), args[0], args[1], to); err != nil {
					return err
				}
				if a.json() {
					return a.object(map[string]any{"stream": args[0], "name": args[1], "checkpoint": to})
				}
				return a.say("%s on %s: the next event is %d", args[1], args[0], to+1)
			})
		},
	}
	c.Flags().Int64Var(&to, "to", 0, "the number of the last event that counts as dealt with; 0 to begin anew (required)")
	c.Flags().BoolVar(&yes, "yes", false, "don't ask")
	if err := c.MarkFlagRequired("to"); err != nil {
		panic(err)
	}
	return c
}

func (a *app) subscriptionDelete() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:     "delete STREAM NAME",
		Short:   "Delete a subscription: its checkpoint and what it has parked",
		Example: `  eventstore subscriptions delete '$all' mailer --yes`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(_ *database.Database, es *store.Store) error {
				if _, err := findSubscription(cmd.Context(), es, args[0], args[1]); err != nil {
					return err
				}
				what := fmt.Sprintf("This deletes subscription %q on %q: its checkpoint and what it has parked.", args[1], args[0])
				if err := a.confirm(yes, what, args[1]); err != nil {
					return err
				}
				if err := es.DeleteSubscription(cmd.Context(), args[0], args[1]); err != nil {
					return err
				}
				if a.json() {
					return a.object(map[string]any{"stream": args[0], "name": args[1], "status": "deleted"})
				}
				return a.say("%s on %s: deleted", args[1], args[0])
			})
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return c
}
