package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/store"
)

// streamView is a stream as JSON output has it.
type streamView struct {
	Stream    string    `json:"stream"`
	ID        int64     `json:"stream_id"`
	Version   int64     `json:"version"`
	Status    string    `json:"status"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	DeletedAt time.Time `json:"deleted_at,omitzero"`
}

func streamViewOf(i store.StreamInfo) streamView {
	return streamView{i.Stream, i.ID, i.Version, string(i.Status()), i.CreatedAt, i.DeletedAt}
}

func (a *app) streams() *cobra.Command {
	var o store.ListOptions
	var sort, status string
	c := &cobra.Command{
		Use:   "streams",
		Short: "List streams",
		Example: `  eventstore streams --search account --sort version --desc
  eventstore streams --page 3 --page-size 50`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.SortBy, o.Status = store.SortBy(sort), store.StreamStatus(status)
			if o.Cursor == "" && o.Page == 0 {
				o.Page = 1
			}
			return a.with(cmd.Context(), func(_ *database.Database, es *store.Store) error {
				page, err := es.Streams(cmd.Context(), &o)
				if err != nil {
					return err
				}
				var rows [][]string
				for _, s := range page.Streams {
					if a.json() {
						if err := a.object(streamViewOf(s)); err != nil {
							return err
						}
						continue
					}
					rows = append(rows, []string{s.Stream, number(s.Version), string(s.Status()), second(s.CreatedAt)})
				}
				more := fmt.Sprintf("page %d of %d, %s", page.Page, page.Pages, count(page.Total, "stream"))
				if a.json() {
					if page.Pages > 1 {
						a.note("%s", more)
					}
					return nil
				}
				if err := a.table([]string{"STREAM", ">VERSION", "STATUS", "CREATED"}, rows); err != nil || page.Pages <= 1 {
					return err
				}
				return a.say("%s", more)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&o.Search, "search", "", "part of the name")
	f.StringVar(&sort, "sort", "name", "id, name, version, created or deleted")
	f.BoolVar(&o.Descending, "desc", false, "from high to low")
	f.StringVar(&status, "status", "", "active or deleted (default: both)")
	f.IntVar(&o.Page, "page", 0, "which page, from 1")
	f.IntVar(&o.PageSize, "page-size", 100, "streams on a page")
	return c
}

func (a *app) stream() *cobra.Command {
	c := group(&cobra.Command{Use: "stream", Short: "Look at, write and delete one stream"})
	c.AddCommand(a.streamInfo(), a.streamRead(), a.streamAppend(), a.streamLink(), a.streamDelete(), a.streamUndelete())
	return c
}

func (a *app) streamInfo() *cobra.Command {
	return &cobra.Command{
		Use:     "info STREAM",
		Short:   "Show what is known of a stream",
		Example: `  eventstore stream info account-7`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(_ *database.Database, es *store.Store) error {
				i, err := es.StreamInfo(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if a.json() {
					return a.object(streamViewOf(i))
				}
				return a.facts("stream", i.Stream, "id", number(i.ID), "version", number(i.Version), "status", string(i.Status()),
					"created", at(i.CreatedAt), "deleted", at(i.DeletedAt))
			})
		},
	}
}

// parseExpected understands what --expected says.
func parseExpected(text string) (store.Expected, error) {
	switch text {
	case "any":
		return store.Any, nil
	case "no-stream":
		return store.NoStream, nil
	case "exists":
		return store.StreamExists, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return store.Expected{}, usage("--expected is %q, want any, no-stream, exists or a version", text)
	}
	return store.Version(n), nil
}

// expectedFlag is required: forgetting it must not mean "any".
func expectedFlag(c *cobra.Command, expected *string) {
	c.Flags().StringVar(expected, "expected", "", "version that the stream must be at: any, no-stream, exists or a number (required)")
	if err := c.MarkFlagRequired("expected"); err != nil {
		panic(err)
	}
}

// written is what a write returns.
type written struct {
	Stream  string `json:"stream"`
	First   int64  `json:"first"`
	Last    int64  `json:"last"`
	Retried bool   `json:"retried,omitempty"`
}

func (a *app) wrote(r store.AppendResult) error {
	if a.json() {
		return a.object(written{r.Stream, r.First, r.Last, r.Retried})
	}
	again := ""
	if r.Retried {
		again = " (they were there already)"
	}
	if r.First == r.Last {
		return a.say("%s: version %d%s", r.Stream, r.First, again)
	}
	return a.say("%s: versions %d to %d%s", r.Stream, r.First, r.Last, again)
}

func (a *app) streamLink() *cobra.Command {
	var expected string
	c := &cobra.Command{
		Use:     "link STREAM EVENT-ID...",
		Short:   "Put events of other streams into a stream, too",
		Example: `  eventstore stream link big-deposits 0192b0a4-7b11-7c7e-9a57-2d0b8a1f4c11 --expected any`,
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			version, err := parseExpected(expected)
			if err != nil {
				return err
			}
			var ids []uuid.UUID
			for _, text := range args[1:] {
				id, err := uuid.Parse(text)
				if err != nil {
					return usage("invalid event id %q: want a UUID", text)
				}
				ids = append(ids, id)
			}
			return a.with(cmd.Context(), func(_ *database.Database, es *store.Store) error {
				r, err := es.Link(cmd.Context(), args[0], version, ids...)
				if err != nil {
					return err
				}
				return a.wrote(r)
			})
		},
	}
	expectedFlag(c, &expected)
	return c
}

func (a *app) streamDelete() *cobra.Command {
	var expected string
	var hard, yes bool
	c := &cobra.Command{
		Use:   "delete STREAM",
		Short: "Delete a stream: hide it, or with --hard remove its events",
		Long: `Delete a stream.

A soft delete hides it until ` + "`eventstore stream undelete`" + `: it can't be read or written, but its events stay in the order of all
events and where they are linked. With --hard its events are removed everywhere, and with them the snapshot of that name and what
projections and subscriptions have parked of the stream; that can't be undone, so it asks, unless --yes is set. Subscriptions to the stream
stay, and so do read models.`,
		Example: `  eventstore stream delete account-7 --expected 12
  eventstore stream delete account-7 --expected any --hard --yes`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			version, err := parseExpected(expected)
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), func(_ *database.Database, es *store.Store) error {
				kind, word := store.SoftDelete, "soft"
				if hard {
					kind, word = store.HardDelete, "hard"
					info, err := es.StreamInfo(cmd.Context(), args[0])
					if err != nil {
						return err
					}
					what := fmt.Sprintf("This removes for good the stream %q, which is at version %d, its events, its snapshot and what is parked of it.", args[0], info.Version)
					if err := a.confirm(yes, what, args[0]); err != nil {
						return err
					}
				}
				if err := es.Delete(cmd.Context(), args[0], version, kind); err != nil {
					return err
				}
				if a.json() {
					return a.object(map[string]string{"stream": args[0], "deleted": word})
				}
				return a.say("%s: %s deleted", args[0], word)
			})
		},
	}
	expectedFlag(c, &expected)
	c.Flags().BoolVar(&hard, "hard", false, "remove its events")
	c.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return c
}

func (a *app) event() *cobra.Command {
	return &cobra.Command{
		Use:     "event ID",
		Short:   "Show one event",
		Example: `  eventstore event 0192b0a4-7b11-7c7e-9a57-2d0b8a1f4c11`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := uuid.Parse(args[0])
			if err != nil {
				return usage("invalid event id %q: want a UUID", args[0])
			}
			return a.with(cmd.Context(), func(_ *database.Database, es *store.Store) error {
				e, err := es.Event(cmd.Context(), id)
				if err != nil {
					return err
				}
				if a.json() {
					return a.objectWith(viewOf(e), dataOf(e.Data), e.Metadata)
				}
				return a.facts("id", e.ID.String(), "stream", e.Stream, "version", number(e.Version), "type", e.Type, "created", at(e.CreatedAt),
					"causation", idText(e.CausationID), "correlation", idText(e.CorrelationID), "content type", orDash(e.ContentType),
					"data", pretty(e.Data, e.ContentType), "metadata", pretty(e.Metadata, e.ContentType))
			})
		},
	}
}

func idText(id uuid.UUID) string {
	if id == uuid.Nil {
		return "-"
	}
	return id.String()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func pretty(data []byte, contentType string) string {
	if data == nil {
		return "-"
	}
	return dataText(data, contentType)
}
