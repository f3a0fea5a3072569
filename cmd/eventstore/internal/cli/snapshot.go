package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/store"
)

// snapshotView is a snapshot as JSON output has it. Data and metadata come behind it, see objectWith.
type snapshotView struct {
	SourceID    string    `json:"source_id"`
	Version     int64     `json:"version"`
	Type        string    `json:"type"`
	CreatedAt   time.Time `json:"created_at"`
	ContentType string    `json:"content_type,omitempty"`
}

func (a *app) snapshot() *cobra.Command {
	c := group(&cobra.Command{Use: "snapshot", Short: "Show or delete the snapshot of a source"})
	c.AddCommand(&cobra.Command{
		Use:     "show SOURCE",
		Short:   "Show a snapshot",
		Example: `  eventstore snapshot show account-7`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(_ *database.Database, es *store.Store) error {
				s, err := es.ReadSnapshot(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if !a.json() {
					return a.facts("source", s.SourceID, "version", number(s.Version), "type", s.Type, "created", at(s.CreatedAt),
						"content type", orDash(s.ContentType), "data", pretty(s.Data, s.ContentType), "metadata", pretty(s.Metadata, s.ContentType))
				}
				v := snapshotView{SourceID: s.SourceID, Version: s.Version, Type: s.Type, CreatedAt: s.CreatedAt, ContentType: s.ContentType}
				return a.objectWith(v, dataOf(s.Data), s.Metadata)
			})
		},
	}, &cobra.Command{
		Use:     "delete SOURCE",
		Short:   "Delete a snapshot; it can be made again from the events",
		Example: `  eventstore snapshot delete account-7`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(_ *database.Database, es *store.Store) error {
				if _, err := es.ReadSnapshot(cmd.Context(), args[0]); err != nil {
					return err
				}
				if err := es.DeleteSnapshot(cmd.Context(), args[0]); err != nil {
					return err
				}
				if a.json() {
					return a.object(map[string]string{"source_id": args[0], "status": "deleted"})
				}
				return a.say("%s: snapshot deleted", args[0])
			})
		},
	})
	return c
}
