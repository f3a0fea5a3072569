package commanded_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded/commandedtest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
	"github.com/eventstore-go/eventstore/store"
)

// failOver makes a store what a standby is that lagged when it was promoted: events of the stream "a" behind a position are lost, and
// programs go on with others.
func failOver(t *testing.T, s *commandedtest.Store, position string, others []uuid.UUID) {
	t.Helper()
	s.Exec(t, `
		set local eventstore.enable_hard_deletes = 'on';
		create temporary table lost as select event_id from /*schema.*/stream_events where stream_id = 0 and stream_version > `+position+`;
		delete from /*schema.*/stream_events where event_id in (select event_id from lost);
		delete from /*schema.*/events where event_id in (select event_id from lost);
		drop table lost;
		update /*schema.*/streams set stream_version = `+position+` where stream_uuid in ('$all', 'a')`)
	require.NoError(t, s.Append(t.Context(), "a", others...))
}

// TestFollowFailedOver: a source that lost events while it was followed, and got others at the same positions, is not mixed with what was
// read before: not in a look for events alone, nor in a moment, nor between two pages of the first copy, nor between two of an archive.
func TestFollowFailedOver(t *testing.T) {
	t.Parallel()
	for _, when := range []struct {
		name   string
		events int
		lost   string
		o      transfer.FollowOptions
		moment bool // at which it happens: a look, or else a transaction
	}{
		{"events alone", 5, "3", transfer.FollowOptions{Forever: true, Interval: 1}, true},
		{"moment", 5, "3", transfer.FollowOptions{Batch: 4}, true},
		{"the end", 5, "3", transfer.FollowOptions{Batch: 4, Finish: true}, true},
		{"pages", 1500, "900", transfer.FollowOptions{Batch: 500}, false},
	} {
		t.Run(when.name, func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, d *database.Database) {
				from := commandedtest.Empty(t, commandedtest.JSON, "public", "timestamptz")
				require.NoError(t, from.Append(t.Context(), "a", ids(when.events)...))
				failed := false
				others := ids(when.events)
				o := when.o
				fail := func() {
					failed = true
					failOver(t, from, when.lost, others)
				}
				looks := 0
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				if when.moment {
					o.Behind = func(position, _ int64) {
						if looks++; looks > 100 {
							stop() // nothing was found
						}
						if position > 0 && !failed {
							fail()
						}
					}
				} else {
					calls := 0
					o.After = func() {
						if calls++; calls == 2 {
							fail()
						}
					}
				}
				s := open(t.Context(), t, from, commanded.Options{})
				defer func() { require.NoError(t, s.Close()) }()
				_, err := transfer.Follow(ctx, d, s, o)
				require.True(t, failed)
				var replaced *archive.ReplacedError
				require.ErrorAs(t, err, &replaced)
				require.NotContains(t, others, replaced.Had)
				require.Contains(t, others, replaced.Has)
				_, err = store.New(d.Backend, nil).Event(t.Context(), replaced.Has)
				require.ErrorIs(t, err, store.ErrEventNotFound)
			})
		})
	}
}

// TestExportFailedOver: nor is an archive.
func TestExportFailedOver(t *testing.T) {
	t.Parallel()
	from := commandedtest.Empty(t, commandedtest.JSON, "public", "timestamptz")
	require.NoError(t, from.Append(t.Context(), "a", ids(1500)...))
	s := open(t.Context(), t, from, commanded.Options{})
	defer func() { require.NoError(t, s.Close()) }()
	err := s.Events(t.Context(), 0, 1500, func(e *archive.Event) error {
		if e.Position == 1 {
			failOver(t, from, "900", ids(1500))
		}
		return context.Cause(t.Context())
	})
	require.ErrorIs(t, err, archive.ErrReplaced)
}

// ahead answers a look for the head with what a later one would, and calls again with each event before it is taken.
type ahead struct {
	*commanded.Source
	again func(e *archive.Event)
}

func (ahead) Head(context.Context) (int64, error) { return 1503, nil }

func (a ahead) Events(ctx context.Context, after, head int64, do func(*archive.Event) error) error {
	return a.Source.Events(ctx, after, head, func(e *archive.Event) error {
		a.again(e)
		return do(e)
	})
}

// TestFollowRecreatedInBatch: one batch may have events of a stream and of the one that has its name now.
func TestFollowRecreatedInBatch(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		from := commandedtest.Empty(t, commandedtest.JSON, "public", "timestamptz")
		require.NoError(t, then(from.Append(t.Context(), "again", ids(2)...), from.Append(t.Context(), "a", ids(1498)...)))
		s := open(t.Context(), t, from, commanded.Options{})
		defer func() { require.NoError(t, s.Close()) }()
		again := func(e *archive.Event) {
			if e.Position == 1 { // of the first page; the second one has the new stream
				require.NoError(t, then(from.HardDelete(t.Context(), "again"), from.Append(t.Context(), "again", ids(3)...)))
			}
		}
		_, err := transfer.Follow(t.Context(), d, ahead{s, again}, transfer.FollowOptions{Batch: 1502})
		require.NoError(t, err)
		same(t, from, d)
	})
}
