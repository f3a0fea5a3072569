package transfer_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
)

// sourceOf returns a store as a source.
func sourceOf(tb testing.TB, d *database.Database, streams ...string) archive.Source {
	tb.Helper()
	source, err := transfer.Source(d, streams...)
	require.NoError(tb, err)
	return source
}

// exported writes an archive of a store, and returns its name.
func exported(tb testing.TB, d *database.Database, streams ...string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "archive")
	_, err := transfer.Export(tb.Context(), sourceOf(tb, d, streams...), path, transfer.ExportOptions{})
	require.NoError(tb, err)
	return path
}

func headerOf(tb testing.TB, path string) archive.Header {
	tb.Helper()
	r, err := archive.Open(path)
	require.NoError(tb, err)
	require.NoError(tb, r.Close())
	return r.Header
}

// TestHeader: the header says which store was read, up to which event.
func TestHeader(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		s := open(t, d)
		ids := s.append("a", 3)
		first, second := headerOf(t, exported(t, d)), headerOf(t, exported(t, d))
		assert.NotEqual(t, uuid.Nil, first.Identity.StoreID)
		assert.Equal(t, d.Schema, first.Identity.Schema)
		assert.NotEmpty(t, first.Identity.Database)
		assert.Equal(t, first.Identity, second.Identity)
		assert.Equal(t, int64(3), first.Head)
		assert.Equal(t, ids[2], first.HeadEvent)
		other := databasetest.New(t, d.Kind)
		assert.False(t, first.Identity.Same(headerOf(t, exported(t, other)).Identity))
	})
}

// TestOtherSource: part of an archive is not completed from another store, nor from one that has lost what was read, nor with
// other streams.
func TestOtherSource(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		s := open(t, d)
		for range 9 {
			s.append("a", 1)
		}
		path := filepath.Join(t.TempDir(), "archive")
		_, err := transfer.Export(t.Context(), interrupted{sourceOf(t, d), 7}, path, transfer.ExportOptions{SaveEvery: 2})
		require.ErrorIs(t, err, context.Canceled)

		other := open(t, databasetest.New(t, d.Kind))
		other.append("a", 9)
		_, err = transfer.Export(t.Context(), sourceOf(t, other.d), path, transfer.ExportOptions{})
		require.ErrorIs(t, err, transfer.ErrOtherSource)
		here, there := identity(t, d), identity(t, other.d)
		require.ErrorContains(t, err, here.StoreID.String())
		require.ErrorContains(t, err, there.StoreID.String())

		// A copy has the same events, and is another store all the same.
		copied := databasetest.New(t, d.Kind)
		_, err = transfer.Import(t.Context(), copied, exported(t, d), transfer.ImportOptions{})
		require.NoError(t, err)
		_, err = transfer.Export(t.Context(), sourceOf(t, copied), path, transfer.ExportOptions{})
		require.ErrorIs(t, err, transfer.ErrOtherSource)

		_, err = transfer.Export(t.Context(), chosen{sourceOf(t, d), []string{"a"}}, path, transfer.ExportOptions{})
		require.ErrorIs(t, err, transfer.ErrOtherSource)
		_, err = transfer.Export(t.Context(), lost{Source: sourceOf(t, d), at: 6}, path, transfer.ExportOptions{})
		require.ErrorIs(t, err, transfer.ErrOtherSource)
		require.ErrorContains(t, err, "failed over")
		_, err = transfer.Export(t.Context(), lost{Source: sourceOf(t, d), at: 9}, path, transfer.ExportOptions{})
		require.ErrorIs(t, err, transfer.ErrOtherSource)
		_, err = transfer.Export(t.Context(), lost{Source: sourceOf(t, d), head: 8}, path, transfer.ExportOptions{})
		require.ErrorIs(t, err, transfer.ErrOtherSource)

		// What is refused stays, and goes on with the right one.
		resumed := archive.Progress{}
		end, err := transfer.Export(t.Context(), sourceOf(t, d), path, transfer.ExportOptions{Resumed: func(p archive.Progress) { resumed = p }})
		require.NoError(t, err)
		assert.Equal(t, int64(9), end.Events)
		assert.Equal(t, int64(6), resumed.Position)
		assert.Equal(t, int64(9), resumed.Header.Head)
	})
}

// TestMissing: what the source has got since it was read is found.
func TestMissing(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		s := open(t, d)
		s.append("a", 3)
		path := exported(t, d)
		missing, err := transfer.Missing(t.Context(), sourceOf(t, d), path, headerOf(t, path))
		require.NoError(t, err)
		assert.Zero(t, missing)
		s.append("a", 68)
		missing, err = transfer.Missing(t.Context(), sourceOf(t, d), path, headerOf(t, path))
		require.NoError(t, err)
		assert.Equal(t, int64(68), missing)
		_, err = transfer.Missing(t.Context(), sourceOf(t, databasetest.New(t, d.Kind)), path, headerOf(t, path))
		require.ErrorIs(t, err, transfer.ErrOtherSource)
	})
}

func identity(tb testing.TB, d *database.Database) archive.Identity {
	tb.Helper()
	i, err := sourceOf(tb, d).Identity(tb.Context())
	require.NoError(tb, err)
	return i
}

// chosen is a source of which other streams were chosen.
type chosen struct {
	archive.Source
	streams []string
}

func (c chosen) Chosen() []string { return c.streams }

// lost is a source that has another event at a position, or a lower head.
type lost struct {
	archive.Source
	at, head int64
}

func (l lost) EventAt(ctx context.Context, position int64) (uuid.UUID, error) {
	if position == l.at {
		return uuid.New(), nil
	}
	return l.Source.EventAt(ctx, position)
}

func (l lost) Head(ctx context.Context) (int64, error) {
	if l.head > 0 {
		return l.head, nil
	}
	return l.Source.Head(ctx)
}
