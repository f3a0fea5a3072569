package commanded

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded/commandedtest"
)

// strange is a store with names that are refused: of streams, subscriptions and snapshots.
func strange(t *testing.T) *commandedtest.Store {
	t.Helper()
	from := commandedtest.Empty(t, commandedtest.JSON, "public", "timestamptz")
	ids := commandedtest.NewIDs(4)
	for _, err := range []error{
		from.Append(t.Context(), "$x,y=z", ids[0], ids[1]),
		from.Append(t.Context(), "", ids[2]),
		from.Append(t.Context(), "fine", ids[3]),
		from.Link(t.Context(), "links", ids[0], ids[2], ids[3]),
		from.Link(t.Context(), "$links", ids[3]),
		from.Snapshot(t.Context(), "$x,y=z", 2, "{}"),
		from.Snapshot(t.Context(), "", 1, "{}"),
		from.Acknowledge(t.Context(), "$x,y=z", "s", 1),
		from.Acknowledge(t.Context(), "", "s", 1),
		from.Acknowledge(t.Context(), "$all", "s", 2),
	} {
		require.NoError(t, err)
	}
	return from
}

// TestNames: what is refused is named before any record comes.
func TestNames(t *testing.T) {
	t.Parallel()
	from := strange(t)
	from.Exec(t, `insert into /*schema.*/streams (stream_uuid) values (repeat('é', 501));
insert into /*schema.*/snapshots values ('s', 1, repeat('t', 256), '{}')`)
	err := open(t, from, Options{}).Front(t.Context(), func(any) error { return errors.New("called") })
	var unfit *NamesError
	require.ErrorAs(t, err, &unfit)
	assert.EqualValues(t, 4+2+1+1, unfit.Total, "streams, subscribed streams, snapshots, types of snapshots")
	assert.Contains(t, err.Error(), `stream "$x,y=z"`)
	assert.Contains(t, err.Error(), "(1002 bytes)")
	assert.Contains(t, err.Error(), "snapshot type")
	assert.Contains(t, err.Error(), from.Location.Name(), "says which database")
}

// TestRenameAndSkip: both apply to a stream, its events, links, subscriptions and snapshot alike.
func TestRenameAndSkip(t *testing.T) {
	t.Parallel()
	from := strange(t)
	s := open(t, from, Options{Rename: []string{"$x,y=z=x=1", "$links=fine links"}, Skip: []string{""}})
	got := readFront(t, s)
	names := map[string]int64{}
	for _, r := range got.streams {
		names[r.Name] = r.Version
	}
	assert.Equal(t, map[string]int64{"x=1": 2, "fine": 1, "links": 3, "fine links": 1}, names)
	var versions []int64
	for _, l := range got.links {
		versions = append(versions, l.Version)
	}
	assert.Equal(t, []int64{1, 3, 1}, versions, "a link to a skipped event leaves a hole")
	require.Len(t, got.snapshots, 1)
	assert.Equal(t, "x=1", got.snapshots[0].SourceID)
	require.Len(t, got.subscriptions, 2)
	assert.Equal(t, "$all", got.subscriptions[0].Stream)
	assert.Equal(t, "x=1", got.subscriptions[1].Stream)
	assert.EqualValues(t, 4, got.header.Head)

	var streams []string
	var positions []int64
	require.NoError(t, s.Events(t.Context(), 0, got.header.Head, func(e *archive.Event) error {
		streams, positions = append(streams, e.Stream), append(positions, e.Position)
		return nil
	}))
	assert.Equal(t, []string{"x=1", "x=1", "fine"}, streams)
	assert.Equal(t, []int64{1, 2, 4}, positions)
	assert.Equal(t, Summary{SkippedStreams: 1, SkippedEvents: 1, SkippedLinks: 1, SkippedSnapshots: 1, SkippedSubscriptions: 1}, s.Summary())
}

// TestSkippedType: an event type that is refused is no matter in a stream that is skipped.
func TestSkippedType(t *testing.T) {
	t.Parallel()
	from := commandedtest.Empty(t, commandedtest.JSON, "public", "timestamptz")
	id := commandedtest.NewIDs(1)[0]
	require.NoError(t, from.Append(t.Context(), "s", id))
	from.Exec(t, `alter table /*schema.*/events disable trigger no_update_events; update /*schema.*/events set event_type = ''`)
	var unfit *NamesError
	require.ErrorAs(t, open(t, from, Options{}).Front(t.Context(), func(any) error { return nil }), &unfit)
	assert.Equal(t, "event type", unfit.Names[0].Kind)
	readFront(t, open(t, from, Options{Skip: []string{"s"}}))
}

func TestMapping(t *testing.T) {
	t.Parallel()
	from := strange(t)
	require.NoError(t, from.Append(t.Context(), "a=b", commandedtest.NewIDs(1)...))
	require.NoError(t, from.Append(t.Context(), "a", commandedtest.NewIDs(1)...))
	for _, c := range []struct {
		why string
		o   Options
	}{
		{"no equals sign", Options{Rename: []string{"x"}}},
		{"no such stream", Options{Rename: []string{"absent=x"}}},
		{"no such stream", Options{Skip: []string{"absent"}}},
		{"two such streams", Options{Rename: []string{"a=b=c"}}},
		{"two names", Options{Rename: []string{"fine=b", "fine=c"}}},
		{"one name for two", Options{Rename: []string{"fine=c", "links=c"}}},
		{"a name that is there", Options{Rename: []string{"fine=links"}}},
		{"a name that is refused", Options{Rename: []string{"fine=$fine"}}},
		{"no name", Options{Rename: []string{"fine="}}},
		{"all events", Options{Rename: []string{"$all=x"}}},
		{"all events", Options{Skip: []string{"$all"}}},
		{"renamed and skipped", Options{Rename: []string{"fine=x"}, Skip: []string{"fine"}}},
	} {
		c.o.Schema = from.Schema
		s, err := Open(t.Context(), from.Location, c.o)
		if err == nil {
			err = s.Front(t.Context(), func(any) error { return errors.New("called") })
			require.NoError(t, s.Close())
		}
		var mapping *MappingError
		require.ErrorAs(t, err, &mapping, c.why)
	}
	// Names may be exchanged.
	s := open(t, from, Options{Rename: []string{"fine=links", "links=fine", "$links=l", "$x,y=z=x"}, Skip: []string{""}})
	readFront(t, s)
}
