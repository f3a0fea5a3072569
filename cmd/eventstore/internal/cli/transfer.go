package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
	"github.com/eventstore-go/eventstore/store"
)

// moved is what an export or import returns.
type moved struct {
	Archive  string           `json:"archive"`
	Identity archive.Identity `json:"identity"` // of the store that was read
	ReadAt   time.Time        `json:"read_at"`  // when reading it began
	Head     int64            `json:"head"`     // up to where it was read
	archive.End
	Missing int64   `json:"missing,omitempty"` // positions that it has got since
	Seconds float64 `json:"seconds"`
}

// moved prints what was moved. What is missing is what a check has found.
func (a *app) moved(verb, path string, h archive.Header, end archive.End, missing int64, begun time.Time) error {
	if err := a.printMoved(verb, moved{path, h.Identity, h.ExportedAt, h.Head, end, missing, time.Since(begun).Seconds()}); err != nil || missing == 0 {
		return err
	}
	a.note("the source has %s: it was read up to position %d, which was its end at %s, and ends at %d now",
		count(missing, "more position"), h.Head, at(h.ExportedAt), h.Head+missing)
	return errFound
}

func (a *app) printMoved(verb string, m moved) error {
	if a.json() {
		return a.object(m)
	}
	text := fmt.Sprintf("%s %s, %s, %s, %s, %s", verb, count(m.Events, "event"), count(m.Streams, "stream"), count(m.Links, "link"),
		count(m.Snapshots, "snapshot"), count(m.Subscriptions, "subscription"))
	if m.Gone > 0 {
		text += fmt.Sprintf("; hard deleted meanwhile: %s", count(m.Gone, "stream"))
	}
	if err := a.say("%s, up to position %d", text, m.Head); err != nil {
		return err
	}
	return a.say("sha256 %s", m.SHA256)
}

// headerOf reads the header of an archive.
func headerOf(path string) (archive.Header, error) {
	r, err := archive.Open(path)
	if err != nil {
		return archive.Header{}, err
	}
	return r.Header, r.Close()
}

// resumed says that an earlier read goes on, and that it is of the time when it began.
func (a *app) resumed(p archive.Progress) {
	a.note("going on at position %d with the %s", p.Position, p.Header)
}

func (a *app) export() *cobra.Command {
	var streams []string
	var zstd, replace bool
	var saveEvery int
	c := &cobra.Command{
		Use:   "export FILE",
		Short: "Write a store, or chosen streams, to an archive",
		Long: `Write a store to an archive: JSON lines with all events, streams, links, snapshots and subscriptions, with their ids,
versions, positions and times, and a checksum. A name that ends with .zst is compressed. "-" is the standard output.

Others may go on appending: the archive has all events up to where the store's end was when it began. An export that was
interrupted, or killed, goes on where it was when it is started again. If the store has more events by then, the resumed export
says how many and exits with 1; the archive is complete up to where the first one began. An export of another store, of other
streams, or of a store that has lost what was read, does not resume it and exits with 4.

Projections are not in an archive, since their tables are not: they begin anew.`,
		Example: `  eventstore export shop.jsonl.zst
  eventstore export two.jsonl --stream account-7 --stream account-8
  eventstore export - | jq -c 'select(.kind == "event")'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			zstd = zstd || strings.HasSuffix(args[0], ".zst")
			return a.with(cmd.Context(), func(d *database.Database, _ *store.Store) error {
				from, err := transfer.Source(d, streams...)
				if err != nil {
					return err
				}
				if args[0] == "-" {
					w, err := archive.NewWriter(a.out, zstd)
					if err != nil {
						return err
					}
					_, err = transfer.ExportTo(cmd.Context(), from, w, transfer.ExportOptions{})
					return err
				}
				return a.exportTo(cmd.Context(), from, args[0], transfer.ExportOptions{Compress: zstd, Replace: replace, SaveEvery: saveEvery})
			})
		},
	}
	c.Flags().StringArrayVar(&streams, "stream", nil, "only this stream; may be given several times (default: the whole store)")
	c.Flags().BoolVar(&zstd, "zstd", false, "compress, whatever the name is")
	c.Flags().IntVar(&saveEvery, "save-every", 200_000, "events after which an export that is killed need not write those before again")
	c.Flags().BoolVar(&replace, "replace", false, "replace a file of that name, once the archive is whole")
	return c
}

// exportTo exports to a file. If it goes on with an earlier export, and the store has got events since that began, that is what a
// check has found.
func (a *app) exportTo(ctx context.Context, from archive.Source, path string, o transfer.ExportOptions) error {
	begun, resumed := time.Now(), false
	progress, stop := a.progress("exporting")
	o.Progress = progress
	o.Resumed = func(p archive.Progress) {
		resumed = true
		a.resumed(p)
	}
	end, err := transfer.Export(ctx, from, path, o)
	stop()
	if err != nil {
		return err
	}
	h, err := headerOf(path)
	if err != nil {
		return err
	}
	missing := int64(0)
	if resumed {
		if missing, err = transfer.Missing(ctx, from, path, h); err != nil {
			return err
		}
	}
	return a.moved("exported", path, h, end, missing, begun)
}
