package store

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzCursor: whatever is given as a cursor, it is taken or refused with ErrInvalid.
func FuzzCursor(f *testing.F) {
	r := ListRequest{SortBy: SortName}
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	f.Add(encodeCursor(r, StreamInfo{Stream: "a/ü", ID: 7, Version: 3, CreatedAt: at, DeletedAt: at}))
	f.Add("")
	f.Add("bm90IEpTT04")
	f.Add("%%%")
	f.Fuzz(func(t *testing.T, text string) {
		after, err := decodeCursor(r, text)
		if err != nil {
			require.True(t, errors.Is(err, ErrInvalid))
			return
		}
		again, err := decodeCursor(r, encodeCursor(r, *after))
		require.NoError(t, err)
		require.Equal(t, after.Stream, again.Stream)
		require.Equal(t, after.ID, again.ID)
	})
}

func TestCursorKeepsEveryKey(t *testing.T) {
	r := ListRequest{SortBy: SortCreated, Descending: true, StreamFilter: StreamFilter{Search: "x/y", Status: Active}}
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	want := StreamInfo{Stream: "a", ID: 7, Version: 3, CreatedAt: at}
	got, err := decodeCursor(r, encodeCursor(r, want))
	require.NoError(t, err)
	require.Equal(t, want, *got)
	r.Descending = false
	_, err = decodeCursor(r, encodeCursor(ListRequest{SortBy: SortName}, want))
	require.ErrorIs(t, err, ErrInvalid, "a cursor of another order")
}
