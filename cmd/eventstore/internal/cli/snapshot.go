package cli

import (
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/store"
)

// snapshotView is a snapshot as JSON output has it.
type snapshotView struct {
	SourceID       string          `json:"source_id"`
	Version        int64           `json:"version"`
	Type           string          `json:"type"`
	CreatedAt      time.Time       `json:"created_at"`
	ContentType    string          `json:"content_type,omitempty"`
	Data           json.RawMessage `json:"data,omitempty"`
	DataBase64     []byte          `json:"data_base64,omitempty"`
	Metadata       json.RawMessage `json:"metadata,omitempty"`
	MetadataBase64 []byte          `json:"metadata_base64,omitempty"`
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
				v.Data, v.DataBase64 = jsonOr(s.Data)
				v.Metadata, v.MetadataBase64 = jsonOr(s.Metadata)
				return a.object(v)
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
