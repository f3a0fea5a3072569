package transfer_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
)

// made is a source that has n events in a thousand streams, and keeps none of them.
type made struct{ n int64 }

const madeStreams = 1000

func (m made) Identity(context.Context) (archive.Identity, error) {
	return archive.Identity{Database: "made"}, nil
}
func (m made) Head(context.Context) (int64, error)               { return m.n, nil }
func (m made) EventAt(context.Context, int64) (uuid.UUID, error) { return uuid.Nil, nil }
func (m made) LeftOut() map[string]int64                         { return nil }

func (m made) Front(_ context.Context, do func(record any) error) error {
	if err := do(&archive.Header{Source: "made", Head: m.n}); err != nil {
		return err
	}
	for i := range int64(madeStreams) {
		s := archive.Stream{ID: i + 1, Name: fmt.Sprint("stream-", i), Version: (m.n - i + madeStreams - 1) / madeStreams, CreatedAt: time.Unix(0, 0)}
		if err := do(&s); err != nil {
			return err
		}
	}
	return nil
}

func (m made) Events(_ context.Context, after, head int64, do func(e *archive.Event) error) error {
	for p := after + 1; p <= head; p++ {
		e := archive.Event{
			Position: p, StreamID: (p-1)%madeStreams + 1, Stream: fmt.Sprint("stream-", (p-1)%madeStreams), Version: (p-1)/madeStreams + 1,
			Type: "made", CreatedAt: time.Unix(p, 0), Data: fmt.Appendf(nil, `{"n":%d,"text":"%0200d"}`, p, p),
		}
		binary.BigEndian.PutUint64(e.ID[8:], uint64(p)*0x9e3779b97f4a7c15) // spread, and different
		e.ID = uuid.UUID(append(e.ID[8:16:16], e.ID[:8]...))
		if err := do(&e); err != nil {
			return err
		}
	}
	return nil
}

func (m made) StreamIDs(_ context.Context, do func(id int64) error) error {
	for i := range int64(madeStreams) {
		if err := do(i + 1); err != nil {
			return err
		}
	}
	return nil
}

// heap samples how much memory is in use.
type heap struct {
	most uint64
	next int64
}

func (h *heap) sample(done, _ int64) {
	if done < h.next {
		return
	}
	h.next = done + 20_000
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	h.most = max(h.most, m.HeapInuse)
}

// TestMemory: moving a store takes the same memory however many events there are. EVENTSTORE_TRANSFER_EVENTS sets their
// number. Not parallel: the memory is that of the whole process.
func TestMemory(t *testing.T) {
	n := int64(50_000)
	if text := os.Getenv("EVENTSTORE_TRANSFER_EVENTS"); text != "" {
		var err error
		n, err = strconv.ParseInt(text, 10, 64)
		require.NoError(t, err)
	}
	const bound = 200 << 20
	path := filepath.Join(t.TempDir(), "archive.zst")
	var writing heap
	begun := time.Now()
	_, err := transfer.Export(t.Context(), made{n}, path, transfer.ExportOptions{Compress: true, Progress: writing.sample})
	require.NoError(t, err)
	t.Logf("%d events written in %s, at most %d MB in use", n, time.Since(begun).Round(time.Second), writing.most>>20)
	assert.Less(t, writing.most, uint64(bound))
	for _, kind := range []database.Kind{database.PostgreSQL, database.SQLite} {
		d := databasetest.New(t, kind)
		var in, out heap
		begun := time.Now()
		_, err = transfer.Import(t.Context(), d, path, transfer.ImportOptions{Progress: in.sample})
		require.NoError(t, err)
		t.Logf("%s: imported in %s, at most %d MB in use", kind, time.Since(begun).Round(time.Second), in.most>>20)
		assert.Less(t, in.most, uint64(bound))
		source, err := transfer.Source(d)
		require.NoError(t, err)
		begun = time.Now()
		end, err := transfer.Export(t.Context(), source, filepath.Join(t.TempDir(), "again.zst"), transfer.ExportOptions{Compress: true, Progress: out.sample})
		require.NoError(t, err)
		t.Logf("%s: exported in %s, at most %d MB in use", kind, time.Since(begun).Round(time.Second), out.most>>20)
		assert.Less(t, out.most, uint64(bound))
		assert.Equal(t, n, end.Events)
		assert.NotZero(t, in.most, "it was looked at")
	}
}
