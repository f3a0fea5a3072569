package commanded_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded/commandedtest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
)

// killed is a source whose reader is killed after some events.
type killed struct {
	*commanded.Source
	after int
}

func (k killed) Events(ctx context.Context, after, head int64, do func(e *archive.Event) error) error {
	return k.Source.Events(ctx, after, head, func(e *archive.Event) error {
		if k.after--; k.after < 0 {
			return context.Canceled
		}
		return do(e)
	})
}

// TestResumedNames: a read goes on with the --rename and --skip that it began with, and refuses others; so does an archive that is
// complete.
func TestResumedNames(t *testing.T) {
	t.Parallel()
	from := commandedtest.Empty(t, commandedtest.JSON, "public", "timestamptz")
	for _, stream := range []string{"$a", "skipped", "plain", "$a", "skipped", "plain"} {
		require.NoError(t, from.Append(t.Context(), stream, ids(1)...))
	}
	path := filepath.Join(t.TempDir(), "archive")
	given := commanded.Options{Rename: []string{"$a=b=c"}, Skip: []string{"skipped"}}
	s := open(t.Context(), t, from, given)
	_, err := transfer.Export(t.Context(), killed{s, 2}, path, transfer.ExportOptions{SaveEvery: 1})
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, s.Close())

	others := []commanded.Options{
		{},
		{Rename: given.Rename},
		{Skip: given.Skip},
		{Rename: []string{"$a=b"}, Skip: given.Skip},
		{Rename: append([]string{"plain=p"}, given.Rename...), Skip: given.Skip},
		{Rename: given.Rename, Skip: []string{"skipped", "plain"}},
	}
	refused := func(try func(s *commanded.Source) error) {
		for _, o := range others {
			s := open(t.Context(), t, from, o)
			err := try(s)
			require.ErrorIs(t, err, transfer.ErrOtherSource, "%v", o)
			require.ErrorContains(t, err, `--rename "$a=b=c" --skip "skipped"`)
			require.NoError(t, s.Close())
		}
	}
	refused(func(s *commanded.Source) error {
		_, err := transfer.Export(t.Context(), s, path, transfer.ExportOptions{})
		return err
	})

	// The stream may be gone in the source meanwhile.
	require.NoError(t, from.HardDelete(t.Context(), "skipped"))
	s = open(t.Context(), t, from, given)
	end, err := transfer.Export(t.Context(), s, path, transfer.ExportOptions{})
	require.NoError(t, err)
	assert.EqualValues(t, 4, end.Events)
	var streams []string
	r, err := archive.Open(path)
	require.NoError(t, err)
	for {
		record, err := r.Next()
		require.NoError(t, err)
		if e, ok := record.(*archive.Event); ok {
			streams = append(streams, e.Stream)
		}
		if _, ok := record.(*archive.End); ok {
			break
		}
	}
	h := r.Header
	require.NoError(t, r.Close())
	assert.Equal(t, []string{"b=c", "plain", "b=c", "plain"}, streams)
	missing, err := transfer.Missing(t.Context(), s, path, h)
	require.NoError(t, err)
	assert.Zero(t, missing)
	require.NoError(t, s.Close())
	refused(func(s *commanded.Source) error {
		_, err := transfer.Missing(t.Context(), s, path, h)
		return err
	})
}
