package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/stats"
	"github.com/eventstore-go/eventstore/store"
)

func (a *app) stats() *cobra.Command {
	var top int
	c := &cobra.Command{
		Use:   "stats",
		Short: "Count events, streams and bytes; show the biggest",
		Long:  `Count what is in a store. This reads all events once, and waits for nobody.`,
		Example: `  eventstore stats --top 20
  eventstore stats -o json | jq .last_hour`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if top < 1 {
				return usage("--top must be positive")
			}
			return a.with(cmd.Context(), func(d *database.Database, _ *store.Store) error {
				end := a.busy("counting")
				s, err := stats.Collect(cmd.Context(), d, top)
				end()
				if err != nil {
					return err
				}
				if a.json() {
					return a.object(s)
				}
				return a.showStats(s)
			})
		},
	}
	c.Flags().IntVar(&top, "top", 10, "how many streams and types to show")
	return c
}

func (a *app) showStats(s stats.Stats) error {
	err := a.facts("events", number(s.Events), "streams", fmt.Sprintf("%d, %d of them soft deleted", s.Streams, s.Deleted),
		"links", number(s.Links), "snapshots", number(s.Snapshots), "subscriptions", number(s.Subscriptions),
		"on disk", size(s.Bytes), "data of events", size(s.DataBytes),
		"created", fmt.Sprintf("%d in the last minute, %d in the last hour, %d in the last day", s.LastMinute, s.LastHour, s.LastDay),
		"head", number(s.Head), "without position", number(s.Unnumbered), "open holes", number(s.OpenHoles))
	if err != nil {
		return err
	}
	var streams, types, tables [][]string
	for _, b := range s.Biggest {
		streams = append(streams, []string{b.Stream, number(b.Version)})
	}
	for _, t := range s.Types {
		types = append(types, []string{t.Type, number(t.Events), size(t.DataBytes)})
	}
	for _, t := range s.Tables {
		tables = append(tables, []string{t.Table, size(t.Bytes), size(t.IndexBytes)})
	}
	for _, list := range []struct {
		titles []string
		rows   [][]string
	}{
		{[]string{"BIGGEST STREAM", ">VERSION"}, streams}, {[]string{"TYPE", ">EVENTS", ">DATA"}, types}, {[]string{"TABLE", ">ON DISK", ">INDEXES"}, tables},
	} {
		if err := a.say(""); err != nil {
			return err
		}
		if err := a.table(list.titles, list.rows); err != nil {
			return err
		}
	}
	return nil
}

// size formats a number of bytes for people.
func size(n int64) string {
	f, unit := float64(n), "B"
	for _, u := range []string{"kB", "MB", "GB", "TB"} {
		if f < 1000 {
			break
		}
		f, unit = f/1000, u
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}
