package archive_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
)

var when = time.Date(2020, 2, 29, 12, 0, 0, 1000, time.UTC)

// records are some of each kind, as they may stand in an archive.
func records() []any {
	list := []any{
		&archive.Header{Format: archive.Format, ID: uuid.New(), Source: "test", Head: 9, Streams: []string{"a", "}"}, ExportedAt: when},
		&archive.Stream{ID: 1, Name: "a\"}\\ \u2028<&>", Version: 3, CreatedAt: when, DeletedAt: when, Linked: true},
		&archive.Link{StreamID: 2, Version: 1, EventID: uuid.New()},
		&archive.Snapshot{SourceID: "a", Version: 1, Type: "t", ContentType: "x", Data: []byte{0, 255}, CreatedAt: when},
		&archive.Subscription{Stream: "$all", Name: "n}", Checkpoint: 3, CreatedAt: when, UpdatedAt: when},
	}
	for i, data := range []string{`{"a": 1 }`, `null`, ``, "{\n}", "[1]\r", ` 1`, "\xff", `"\u0000"`, `"}"`, `not JSON`, `1e999`, "\"\u2028\""} {
		list = append(list, &archive.Event{
			Position: int64(i + 1), Index: i % 2, StreamID: 1, Stream: "a", Version: int64(i + 1), ID: uuid.New(), Type: "t", CreatedAt: when,
			CausationID: uuid.UUID{15: byte(i)}, Data: []byte(data),
		})
		if i%3 > 0 {
			list[len(list)-1].(*archive.Event).Metadata = []byte(data)
		}
	}
	return append(list, &archive.Gone{StreamID: 7})
}

func read(t *testing.T, r *archive.Reader) (list []any) {
	t.Helper()
	for {
		record, err := r.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		require.NoError(t, err)
		list = append(list, record)
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, compress := range []bool{false, true} {
		var b bytes.Buffer
		w, err := archive.NewWriter(&b, compress)
		require.NoError(t, err)
		want := records()
		for _, r := range want {
			require.NoError(t, w.Write(r))
		}
		end, err := w.Finish(nil)
		require.NoError(t, err)
		r, err := archive.NewReader(&b)
		require.NoError(t, err)
		got := read(t, r)
		assert.Equal(t, append(want[1:], &end), got)
		assert.Equal(t, *want[0].(*archive.Header), r.Header)
	}
}

// TestResume ends the writer after each record, saved or not, and lets another go on.
func TestResume(t *testing.T) {
	t.Parallel()
	for _, compress := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "archive")
		want := records()
		header := *want[0].(*archive.Header)
		for stop := 1; ; stop++ {
			file, err := archive.Create(path, compress, false)
			require.NoError(t, err)
			done := 0
			if file.Resumed != nil {
				done = int(file.Resumed.Position)
				assert.Equal(t, header, file.Resumed.Header)
			}
			for done < len(want) && done < stop {
				require.NoError(t, file.Write(want[done]))
				done++
			}
			if done == len(want) {
				_, err := file.Finish(nil)
				require.NoError(t, err)
				break
			}
			require.NoError(t, file.Save(archive.Progress{Header: header, Position: int64(done)}))
			require.NoError(t, file.Write(want[done])) // what was not saved is written again
			require.NoError(t, file.Close())
		}
		r, err := archive.Open(path)
		require.NoError(t, err)
		got := read(t, r)
		assert.Equal(t, want[1:], got[:len(got)-1])
		require.NoError(t, r.Close())
		left, err := os.ReadDir(filepath.Dir(path))
		require.NoError(t, err)
		assert.Len(t, left, 1)
		_, err = archive.Create(path, compress, false)
		require.ErrorIs(t, err, archive.ErrExists)
	}
}

// TestHostile: what is no archive is refused.
func TestHostile(t *testing.T) {
	t.Parallel()
	for i, text := range []string{"", "\n", "{}\n", "SQLite format 3\x00", `{"kind":"header","format":2}` + "\n", `{"kind":"header","format":0}` + "\n",
		`{"kind":"stream"}` + "\n", `{"kind":"header","format":1}`, "\x28\xb5\x2f\xfd", "\x28\xb5\x2f\xfdgarbage"} {
		_, err := archive.NewReader(bytes.NewReader([]byte(text)))
		require.ErrorIs(t, err, archive.ErrFormat, "%d", i)
	}
}

// FuzzReader: hostile bytes neither panic nor take the memory, and what is read is a whole archive or an ErrFormat.
func FuzzReader(f *testing.F) {
	var b bytes.Buffer
	w, err := archive.NewWriter(&b, false)
	require.NoError(f, err)
	for _, r := range records() {
		require.NoError(f, w.Write(r))
	}
	_, err = w.Finish(nil)
	require.NoError(f, err)
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := archive.NewReader(bytes.NewReader(text))
		for err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, io.EOF) && !errors.Is(err, archive.ErrFormat) {
			t.Fatal(fmt.Errorf("%T: %w", err, err))
		}
	})
}
