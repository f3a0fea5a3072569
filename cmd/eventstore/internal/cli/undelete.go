package cli

import (
	"github.com/spf13/cobra"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/store"
)

func (a *app) streamUndelete() *cobra.Command {
	var expected string
	c := &cobra.Command{
		Use:   "undelete STREAM",
		Short: "Undo the soft delete of a stream",
		Long: `Undo the soft delete of a stream: it can be read and written again, with the events, versions and links that it had.

Persistent subscriptions and projections on the stream, which the delete has ended, go on behind their checkpoints when
their programs start them again. A hard delete can't be undone. The exit code is 4 if the stream is not deleted.`,
		Example: `  eventstore streams --status deleted
  eventstore stream undelete account-7 --expected 12`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			version, err := parseExpected(expected)
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), func(_ *database.Database, es *store.Store) error {
				if err := es.Undelete(cmd.Context(), args[0], version); err != nil {
					return err
				}
				info, err := es.StreamInfo(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if a.json() {
					return a.object(streamViewOf(info))
				}
				return a.say("%s: undeleted, at version %d", args[0], info.Version)
			})
		},
	}
	expectedFlag(c, &expected)
	return c
}
