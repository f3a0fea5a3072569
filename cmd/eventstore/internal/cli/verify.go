package cli

import (
	"github.com/spf13/cobra"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/verify"
	"github.com/eventstore-go/eventstore/store"
)

// verified is the last object of JSON output.
type verified struct {
	Checks        int   `json:"checks"`
	Violations    int64 `json:"violations"`
	Streams       int64 `json:"streams"`
	Events        int64 `json:"events"`
	Links         int64 `json:"links"`
	Subscriptions int64 `json:"subscriptions"`
}

func (a *app) verify() *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Check that a store is not damaged; exit 1 if it is",
		Long: `Check that a store is not damaged: versions, the global order, links, checkpoints, sequences. It only reads, waits for
nobody and keeps nobody waiting, so it may run on a store that is in use.`,
		Example: `  eventstore verify || echo "the store is damaged"`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(d *database.Database, _ *store.Store) error {
				end := a.busy("verifying")
				s, err := verify.Run(cmd.Context(), d, func(v verify.Violation) error {
					if v.Check == verify.Unfinished {
						v.Fix = finishImport
					}
					if a.json() {
						return a.object(v)
					}
					if err := a.say("%s: %s", a.red(v.Check), v.What); err != nil || v.Fix == "" {
						return err
					}
					return a.say("    %s", v.Fix)
				})
				end()
				if err != nil {
					return err
				}
				if a.json() {
					err = a.object(verified{s.Checks, s.Violations, s.Streams, s.Events, s.Links, s.Subscriptions})
				} else {
					verdict := a.green("nothing is wrong")
					if s.Violations > 0 {
						verdict = a.red(count(s.Violations, "violation"))
					}
					err = a.say("%s of %s, %s, %s, %s: %s", count(s.Checks, "check"), count(s.Streams, "stream"), count(s.Events, "event"),
						count(s.Links, "link"), count(s.Subscriptions, "subscription"), verdict)
				}
				if err == nil && s.Violations > 0 {
					err = errFound
				}
				return err
			})
		},
	}
}
