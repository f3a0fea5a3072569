package commanded_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
)

// TestExportMapped: a read that was interrupted goes on with the same names alone, and so is an archive only taken for what it was
// read with.
func TestExportMapped(t *testing.T) {
	t.Parallel()
	from := strangeNames(t)
	path := filepath.Join(t.TempDir(), "archive")
	run := func(ctx context.Context, o commanded.Options, progress transfer.Progress) (archive.End, error) {
		s := open(t.Context(), t, from, o)
		defer func() { require.NoError(t, s.Close()) }()
		return transfer.Export(ctx, s, path, transfer.ExportOptions{SaveEvery: 1, Progress: progress})
	}
	given := commanded.Options{Rename: []string{"$a=a", "fine=b"}, Skip: []string{"$b"}}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	_, err := run(ctx, given, func(int64, int64) { stop() })
	require.ErrorIs(t, err, context.Canceled)

	others := []commanded.Options{
		{},
		{Rename: given.Rename},
		{Rename: given.Rename, Skip: []string{"$b", "links"}},
		{Rename: []string{"$a=a"}, Skip: given.Skip},
		{Rename: []string{"$a=a", "fine=c"}, Skip: given.Skip},
	}
	for _, o := range others {
		_, err := run(t.Context(), o, nil)
		require.ErrorIs(t, err, transfer.ErrOtherSource, "%v", o)
		require.ErrorContains(t, err, "--skip")
	}
	same := commanded.Options{Rename: []string{"fine=b", "$a=a"}, Skip: given.Skip}
	_, err = run(t.Context(), same, nil)
	require.NoError(t, err)

	r, err := archive.Open(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	var got []string
	for {
		record, err := r.Next()
		require.NoError(t, err)
		if e, ok := record.(*archive.Event); ok {
			got = append(got, e.Stream)
		}
		if _, ok := record.(*archive.End); ok {
			break
		}
	}
	assert.Equal(t, []string{"a", "a", "b"}, got)
	missing := func(o commanded.Options) error {
		s := open(t.Context(), t, from, o)
		defer func() { require.NoError(t, s.Close()) }()
		_, err := transfer.Missing(t.Context(), s, path, r.Header)
		return err
	}
	for _, o := range others {
		require.ErrorIs(t, missing(o), transfer.ErrOtherSource, "%v", o)
	}
	require.NoError(t, missing(same))
}
