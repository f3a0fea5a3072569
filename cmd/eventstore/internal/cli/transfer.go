package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
	"github.com/eventstore-go/eventstore/store"
)

// progress returns what shows how far something has come, on a terminal, and what ends that.
func (a *app) progress(what string) (transfer.Progress, func()) {
	if !terminal(a.err) {
		return nil, func() {}
	}
	bar := progressbar.NewOptions64(1, progressbar.OptionSetWriter(a.err), progressbar.OptionSetDescription(what), progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("events"), progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(30))
	return func(done, total int64) {
		bar.ChangeMax64(max(total, 1))
		_ = bar.Set64(done)
	}, func() { _ = bar.Finish() }
}

// moved is what an export or import returns.
type moved struct {
	Archive string `json:"archive"`
	archive.End
	Seconds float64 `json:"seconds"`
}

func (a *app) moved(verb, path string, end archive.End, begun time.Time) error {
	m := moved{path, end, time.Since(begun).Seconds()}
	if a.json() {
		return a.object(m)
	}
	text := fmt.Sprintf("%s %d events, %d streams, %d links, %d snapshots, %d subscriptions", verb, end.Events, end.Streams, end.Links, end.Snapshots, end.Subscriptions)
	if end.Gone > 0 {
		text += fmt.Sprintf("; %d streams were hard deleted meanwhile", end.Gone)
	}
	return a.say("%s\nsha256 %s", text, end.SHA256)
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
interrupted, or killed, goes on where it was when it is started again. Projections are not in an archive, since their tables
are not: they begin anew.`,
		Example: `  eventstore export shop.jsonl.zst
  eventstore export two.jsonl --stream account-7 --stream account-8
  eventstore export - | jq -c 'select(.kind == "event")'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			begun := time.Now()
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
				progress, end := a.progress("exporting")
				result, err := transfer.Export(cmd.Context(), from, args[0], transfer.ExportOptions{
					Compress: zstd, Replace: replace, Progress: progress, SaveEvery: saveEvery,
				})
				end()
				if err != nil {
					return err
				}
				return a.moved("exported", args[0], result, begun)
			})
		},
	}
	c.Flags().StringArrayVar(&streams, "stream", nil, "only this stream; may be given several times (default: the whole store)")
	c.Flags().BoolVar(&zstd, "zstd", false, "compress, whatever the name is")
	c.Flags().IntVar(&saveEvery, "save-every", 200_000, "events after which an export that is killed need not write those before again")
	c.Flags().BoolVar(&replace, "replace", false, "replace a file of that name, once the archive is whole")
	return c
}

func (a *app) importer() *cobra.Command {
	var merge bool
	var batch int
	var from elsewhere
	c := &cobra.Command{
		Use:   "import [FILE]",
		Short: "Write an archive, or a store of commanded/eventstore, into a store",
		Long: `Write an archive into a store, whose tables must be there. First the archive's checksum is compared; nothing is written if it
is wrong. Into an empty store everything is written as it was, positions too. An import that was interrupted, or killed,
goes on where it was when it is started again.

A store that is not empty is refused, unless --merge is set: then events get new positions behind those that are there, in
the same order; streams of the same name are refused, and subscriptions on all events are left out. Streams with links are
complete when the import is.

With --from-commanded the store is one of commanded/eventstore for Elixir, in a PostgreSQL database that may be in use: ids,
versions, the global order, times, links, soft-deleted streams, snapshots and checkpoints are kept, so that subscriptions of
the same names go on where they were. An empty store follows it from then on: the same command takes what is new since the last
time, also what was deleted, and --follow goes on doing so. Until --finish, which also takes the checkpoints, the store takes no
other writes; --abandon clears it away. An import that was interrupted, or killed, loses nothing. With --merge or --archive it is
read into an archive first, and not followed.`,
		Example: `  eventstore create --db events.db && eventstore import shop.jsonl.zst --db events.db
  eventstore import --db postgres://localhost/shop --from-commanded ecto://localhost/elixir_shop
  eventstore import --db postgres://localhost/shop --from-commanded ecto://localhost/elixir_shop --follow
  eventstore import --db postgres://localhost/shop --from-commanded ecto://localhost/elixir_shop --finish`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			begun := time.Now()
			switch {
			case from.url == "" && len(args) == 0:
				return usage("name the archive, or say --from-commanded")
			case from.url != "" && len(args) > 0:
				return usage("--from-commanded takes no file: name the archive with --archive")
			case from.url == "" && from.options():
				return usage("--commanded-schema, --archive, --rename, --skip, --follow and --finish go with --from-commanded")
			case from.follow && from.finish:
				return usage("--follow and --finish exclude each other: interrupt the one, stop all writers, and run the other")
			case (from.follow || from.finish) && (merge || from.archive != ""):
				return usage("--follow and --finish go neither with --merge nor with --archive")
			}
			return a.into(cmd.Context(), func(d *database.Database, _ *store.Store) error {
				if from.url != "" && from.archive == "" && !merge {
					return a.follow(cmd.Context(), d, &from, batch)
				}
				path := ""
				if len(args) > 0 {
					path = args[0]
				} else {
					var err error
					if path, err = a.fetch(cmd.Context(), &from); err != nil {
						return err
					}
				}
				progress, end := a.progress("importing")
				result, err := transfer.Import(cmd.Context(), d, path, transfer.ImportOptions{Merge: merge, Batch: batch, Progress: progress})
				end()
				if err != nil {
					return err
				}
				if from.url != "" && from.archive == "" {
					if err := os.Remove(path); err != nil {
						return err
					}
				}
				return a.moved("imported", path, result, begun)
			})
		},
	}
	f := c.Flags()
	f.BoolVar(&merge, "merge", false, "into a store that is not empty, at new positions")
	f.IntVar(&batch, "batch", 10_000, "events that are written in a transaction")
	f.StringVar(&from.url, "from-commanded", "", "URL of the PostgreSQL database of commanded/eventstore: ecto:// or postgres://")
	f.StringVar(&from.schema, "commanded-schema", "", "its schema (default \"public\")")
	f.StringVar(&from.archive, "archive", "", "keep the archive that it is read into, under this name")
	f.BoolVar(&from.follow, "follow", false, "go on taking what is new until interrupted, and print how far behind the store is")
	f.BoolVar(&from.finish, "finish", false, "take the rest and the checkpoints, and follow no more: stop all writers first")
	f.StringArrayVar(&from.rename, "rename", nil, "OLD=NEW: give this stream another name, with its subscriptions and snapshot; may be given several times")
	f.StringArrayVar(&from.skip, "skip", nil, "leave out this stream, with its events, links, subscriptions and snapshot; may be given several times")
	return c
}

// into is with for a store that is imported into: errors of its server say that it is that one.
func (a *app) into(ctx context.Context, f func(d *database.Database, es *store.Store) error) error {
	err := a.with(ctx, f)
	var read *commanded.ReadError
	var pg *pgconn.PgError
	var connect *pgconn.ConnectError
	if errors.As(err, &read) || !errors.As(err, &pg) && !errors.As(err, &connect) {
		return err
	}
	l, parseErr := a.where()
	if parseErr != nil {
		return err
	}
	return fmt.Errorf("the store to import into, at %s: %w", l, err)
}

// elsewhere is a store of commanded/eventstore.
type elsewhere struct {
	url, schema, archive string
	rename, skip         []string
	follow, finish       bool
}

// options reports whether any but the URL is set.
func (e *elsewhere) options() bool {
	return e.schema != "" || e.archive != "" || len(e.rename) > 0 || len(e.skip) > 0 || e.follow || e.finish
}

// source opens the store.
func (a *app) source(ctx context.Context, from *elsewhere) (*commanded.Source, error) {
	l, err := commanded.Parse(from.url)
	if err != nil {
		return nil, err
	}
	a.secrets = append(a.secrets, l)
	return commanded.Open(ctx, l, commanded.Options{Schema: from.schema, Rename: from.rename, Skip: from.skip})
}

// fetch reads the store into an archive, unless an import of it was interrupted, and returns the archive's name.
func (a *app) fetch(ctx context.Context, from *elsewhere) (path string, err error) {
	l, err := commanded.Parse(from.url)
	if err != nil {
		return "", err
	}
	schema := from.schema
	if schema == "" {
		schema = "public"
	}
	if path = from.archive; path == "" {
		path = strings.ReplaceAll(fmt.Sprintf("commanded-%s-%s.jsonl.zst", l.Name(), schema), string(os.PathSeparator), "_")
	}
	if _, err := os.Stat(path); err == nil {
		a.tell("going on with %s, which was read before\n", path)
		return path, nil
	}
	source, err := a.source(ctx, from)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	progress, end := a.progress("reading")
	_, err = transfer.Export(ctx, source, path, transfer.ExportOptions{Compress: strings.HasSuffix(path, ".zst"), Progress: progress})
	end()
	if err != nil {
		return "", err
	}
	for _, n := range commanded.Notes(source.LeftOut()) {
		a.tell("%d %s\n", n.Count, n.Text)
	}
	return path, nil
}
