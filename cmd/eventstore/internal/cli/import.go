package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
	"github.com/eventstore-go/eventstore/store"
)

func (a *app) importer() *cobra.Command {
	var o transfer.ImportOptions
	var from elsewhere
	var abandon bool
	c := &cobra.Command{
		Use:   "import [FILE]",
		Short: "Write an archive, or a store of commanded/eventstore, into a store",
		Long: `Write an archive into a store, whose tables must exist. The command first reads the whole archive and compares its checksum;
it writes nothing if the archive is damaged or the store can't take all of it. Into an empty store it writes everything as it
was, including positions. An import that was interrupted or killed resumes when the same command runs again.

Until an import has finished, the library refuses to write to the store. "import --abandon" removes everything that an unfinished
import has written; it does not need the archive.

A store that is not empty is refused, unless --merge is set. A merge gives events new positions behind the existing ones, in the
same order; the library refuses writes only to the streams that the merge brings. Streams and snapshots of the same name are
refused, and subscriptions on all events are left out. Subscriptions that exist must be stopped, and at checkpoint 0: they
take the checkpoint of the archive.

With --from-commanded the source is a store of commanded/eventstore for Elixir, in a PostgreSQL database that may be in use. Ids,
versions, the global order, times, links, soft-deleted streams, snapshots and checkpoints are kept, so that subscriptions of the
same names resume at their checkpoints. An empty store follows the source from then on: the same command takes what is new since the
last run, including deletes, and --follow repeats that until it is interrupted. Until --finish the library refuses to write to the
store. To cut over, stop all writers of the source, and run the command with --finish: it takes the rest and the checkpoints. If the
source got more events meanwhile, the command says how many and exits with 1.

With --merge or --archive the source is not followed: it is first read into an archive, which has the events up to the source's end
when reading began. The command removes it after the import, unless --archive names it.`,
		Example: `  eventstore create --db events.db && eventstore import shop.jsonl.zst --db events.db
  eventstore import --db postgres://localhost/shop --from-commanded ecto://localhost/elixir_shop --follow
  eventstore import --db postgres://localhost/shop --from-commanded ecto://localhost/elixir_shop --finish
  eventstore import --db postgres://localhost/shop --abandon`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case abandon && (len(args) > 0 || from.url != "" || from.options() || o.Merge):
				return usage("--abandon takes no archive, and no other flags")
			case abandon:
				return a.with(cmd.Context(), func(d *database.Database, _ *store.Store) error { return a.abandon(cmd.Context(), d) })
			case from.url == "" && len(args) == 0:
				return usage("name the archive, or say --from-commanded")
			case from.url != "" && len(args) > 0:
				return usage("--from-commanded takes no file: name the archive with --archive")
			case from.url == "" && from.options():
				return usage("--commanded-schema, --archive, --rename, --skip, --follow and --finish go with --from-commanded")
			case from.follow && from.finish:
				return usage("--follow and --finish exclude each other: interrupt --follow, stop all writers of the source, and run --finish")
			case (from.follow || from.finish) && (o.Merge || from.archive != ""):
				return usage("--follow and --finish go neither with --merge nor with --archive")
			}
			return a.with(cmd.Context(), func(d *database.Database, _ *store.Store) error {
				switch {
				case from.url != "" && from.archive == "" && !o.Merge:
					return a.follow(cmd.Context(), d, &from, o.Batch)
				case from.url != "":
					return a.importFrom(cmd.Context(), d, &from, o)
				}
				return a.importFile(cmd.Context(), d, args[0], o)
			})
		},
	}
	f := c.Flags()
	f.BoolVar(&o.Merge, "merge", false, "into a store that is not empty, at new positions")
	f.IntVar(&o.Batch, "batch", 10_000, "events that are written in a transaction")
	f.BoolVar(&abandon, "abandon", false, "remove what an unfinished import has written")
	f.StringVar(&from.url, "from-commanded", "", "URL of the PostgreSQL database of commanded/eventstore: ecto:// or postgres://")
	f.StringVar(&from.schema, "commanded-schema", "", "its schema (default \"public\")")
	f.StringVar(&from.archive, "archive", "", "keep the archive that it is read into, under this name")
	f.BoolVar(&from.follow, "follow", false, "go on taking what is new until interrupted, and print how far behind the store is")
	f.BoolVar(&from.finish, "finish", false, "take the rest and the checkpoints, and follow no more: stop all writers first")
	f.StringArrayVar(&from.rename, "rename", nil, "OLD=NEW: give this stream another name, with its subscriptions and snapshot; may be given several times")
	f.StringArrayVar(&from.skip, "skip", nil, "leave out this stream, with its events, links, subscriptions and snapshot; may be given several times")
	return c
}

// abandoned is what import --abandon returns.
type abandoned struct {
	Abandoned archive.Header `json:"abandoned"`
	Begun     time.Time      `json:"begun"`
	Merge     bool           `json:"merge"`
	Phase     string         `json:"phase"`
}

func (a *app) abandon(ctx context.Context, d *database.Database) error {
	u, err := transfer.Abandon(ctx, d)
	if err != nil {
		return err
	}
	if a.json() {
		return a.object(abandoned{u.Header, u.Begun, u.Merge, u.Phase})
	}
	return a.say("removed what the import that began at %s had written: of the %s", at(u.Begun), u.Header)
}

// importFile imports an archive.
func (a *app) importFile(ctx context.Context, d *database.Database, path string, o transfer.ImportOptions) error {
	begun := time.Now()
	end, err := a.write(ctx, d, path, o)
	if err != nil {
		return err
	}
	h, err := headerOf(path)
	if err != nil {
		return err
	}
	return a.moved("imported", path, h, end, 0, begun)
}

// write writes an archive into the store.
func (a *app) write(ctx context.Context, d *database.Database, path string, o transfer.ImportOptions) (archive.End, error) {
	progress, stop := a.progress("importing")
	defer stop()
	o.Progress = progress
	o.Resumed = func(u transfer.Unfinished) { a.note("going on with %s", u) }
	return transfer.Import(ctx, d, path, o)
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
func (a *app) source(ctx context.Context, from *elsewhere) (*commanded.Source, database.Location, error) {
	l, err := commanded.Parse(from.url)
	if err != nil {
		return nil, l, err
	}
	a.secrets = append(a.secrets, l)
	if from.schema == "" {
		from.schema = "public"
	}
	source, err := commanded.Open(ctx, l, commanded.Options{Schema: from.schema, Rename: from.rename, Skip: from.skip})
	return source, l, err
}

// importFrom imports a store of commanded/eventstore, and compares its end with what was read.
func (a *app) importFrom(ctx context.Context, d *database.Database, from *elsewhere, o transfer.ImportOptions) (err error) {
	begun := time.Now()
	source, l, err := a.source(ctx, from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	path, h, err := a.fetch(ctx, l, from, source)
	if err != nil {
		return err
	}
	end, err := a.write(ctx, d, path, o)
	if err != nil {
		return err
	}
	missing, err := transfer.Missing(ctx, source, path, h)
	if err != nil {
		return err
	}
	if from.archive == "" {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return a.moved("imported", path, h, end, missing, begun)
}

// fetch reads the store into an archive, unless that was done before, and returns the archive's name and header.
func (a *app) fetch(ctx context.Context, l database.Location, from *elsewhere, source *commanded.Source) (path string, h archive.Header, err error) {
	if path = from.archive; path == "" {
		path = strings.ReplaceAll(fmt.Sprintf("commanded-%s-%s.jsonl.zst", l.Name(), from.schema), string(os.PathSeparator), "_")
	}
	if _, err := os.Stat(path); err == nil {
		if h, err = headerOf(path); err != nil {
			return path, h, err
		}
		a.note("going on with %s, which was read before: it is the %s", path, h)
		_, err = transfer.Missing(ctx, source, path, h)
		return path, h, err
	}
	progress, stop := a.progress("reading")
	end, err := transfer.Export(ctx, source, path, transfer.ExportOptions{
		Compress: strings.HasSuffix(path, ".zst"), Progress: progress, Resumed: a.resumed,
	})
	stop()
	if err != nil {
		return path, h, err
	}
	for _, n := range commanded.Notes(end.LeftOut) {
		a.note("%s: %d", n.Text, n.Count)
	}
	for _, name := range source.Anew() {
		a.note("subscription %s: set to 0, it is given all events of the stream that has the name now", name)
	}
	h, err = headerOf(path)
	return path, h, err
}
