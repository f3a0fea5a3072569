package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/store"
)

func (a *app) tail() *cobra.Command {
	t := tailing{app: a}
	c := &cobra.Command{
		Use:   "tail",
		Short: "Print events as they are appended",
		Long: `Print the last events, and then new ones as they are appended, until it is interrupted, or with --limit until there were
so many. Each is printed once, in order. If the --stream is hard deleted, tail waits until it is created again, and prints the
new events from the first one.`,
		Example: `  eventstore tail
  eventstore tail --type Deposited --type Withdrawn --prefix account- --from 1
  eventstore tail --stream account-7 --last 0 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if t.interval <= 0 || t.last < 0 || t.from < 0 {
				return usage("--interval must be positive, --last and --from not negative")
			}
			return a.with(cmd.Context(), func(_ *database.Database, es *store.Store) error {
				err := t.run(cmd.Context(), es)
				if cmd.Context().Err() != nil {
					return nil // how it ends
				}
				return err
			})
		},
	}
	f := c.Flags()
	f.StringVar(&t.stream, "stream", store.All, "follow this stream")
	filterFlags(c, &t.filter)
	f.Int64Var(&t.from, "from", 0, "begin with this number (default: see --last)")
	f.Int64Var(&t.last, "last", 10, "begin with the last so many numbers")
	f.IntVarP(&t.limit, "limit", "n", 0, "end after so many events (default: when it is interrupted)")
	f.DurationVar(&t.interval, "interval", 200*time.Millisecond, "how often to look for new events")
	return c
}

type tailing struct {
	*app
	stream     string
	filter     store.EventFilter
	from, last int64
	limit      int
	interval   time.Duration

	id      int64 // of the stream that the numbers count in; 0 for all events, or while the stream is absent
	printed int   // events
	deleted bool  // the stream was hard deleted, and a new one has not been created yet
}

func (t *tailing) run(ctx context.Context, es *store.Store) error {
	next := t.from
	info, err := es.StreamInfo(ctx, t.stream)
	if err != nil {
		return err
	}
	t.id = info.ID
	if next == 0 {
		next = max(1, info.Version-t.last+1)
	}
	ticker := time.NewTicker(t.interval)
	defer ticker.Stop()
	for {
		after, err := t.follow(ctx, es, next)
		if err != nil || t.ended() {
			return err
		}
		next = after
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ended reports whether as many events were printed as are wanted.
func (t *tailing) ended() bool { return t.limit > 0 && t.printed >= t.limit }

// follow prints what there is from a number on, and returns the number to go on from. If the stream was hard deleted, it waits
// for a new one of the name and begins with its first event.
func (t *tailing) follow(ctx context.Context, es *store.Store, next int64) (int64, error) {
	if t.deleted {
		info, err := es.StreamInfo(ctx, t.stream)
		if errors.Is(err, store.ErrStreamNotFound) {
			return next, nil
		}
		if err != nil {
			return next, err
		}
		t.id, t.deleted = info.ID, false
		t.note("stream %q was created again: its events follow", t.stream)
	}
	var seen store.Seen
	o := &store.ReadOptions{StreamID: t.id, From: next, Filter: t.filter, Seen: &seen}
	for e, err := range es.Stream(ctx, t.stream, o) {
		if errors.Is(err, store.ErrStreamReplaced) {
			t.deleted = true
			t.note("stream %q was hard deleted: waiting until it is created again", t.stream)
			return t.follow(ctx, es, 1)
		}
		if err != nil {
			return next, err
		}
		if err := t.printEvent(e); err != nil {
			return next, err
		}
		if t.printed++; t.ended() {
			return next, nil
		}
	}
	return max(next, seen.Version+1), nil
}
