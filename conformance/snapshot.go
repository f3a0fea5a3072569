package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var snapshotCases = []testCase{
	{name: "snapshot/read", run: snapshotRead, why: "a recorded snapshot comes back with its version, type, data and metadata"},
	{name: "snapshot/absent", run: snapshotAbsent, why: "no snapshot is an ordinary thing, told from an error of the database"},
	{name: "snapshot/newer", run: snapshotNewer, why: "there is one snapshot for each source: the newest that was recorded"},
	{name: "snapshot/older", run: snapshotOlder, why: "a slow process does not undo what a quick one has recorded"},
	{name: "snapshot/force", run: snapshotForce, why: "a snapshot that was wrong can be replaced by one of an earlier version"},
	{name: "snapshot/delete", run: snapshotDelete, why: "a snapshot can always be done without, and made again"},
	{name: "snapshot/sources", run: snapshotSources, why: "sources are names in any script, compared byte by byte, and apart from streams"},
	{name: "snapshot/hard-deleted", run: snapshotHardDeleted, why: "a hard delete takes the state that was made of the events, and a stream created again does not meet it"},
	{name: "snapshot/soft-deleted", run: snapshotSoftDeleted, why: "a soft delete destroys nothing"},
	{name: "snapshot/content-type", run: snapshotContentType, why: "a snapshot says how to decode it, as events do"},
	{name: "snapshot/large", run: snapshotLarge, why: "a state may be large"},
	{name: "snapshot/limits", run: snapshotLimits, why: "a snapshot that breaks a limit is refused before anything is sent"},
	{name: "snapshot/concurrent", tx: manyTx, run: snapshotConcurrent, why: "of many that record at once the highest version stays"},
}

func (f *fixture) snapshot(sourceID string) store.RecordedSnapshot {
	f.Helper()
	s, err := f.es.ReadSnapshot(f.ctx, sourceID)
	require.NoError(f, err, "snapshot of %q", sourceID)
	return s
}

func (f *fixture) record(s store.Snapshot) {
	f.Helper()
	if s.Type == "" {
		s.Type = "state"
	}
	require.NoError(f, f.es.RecordSnapshot(f.ctx, s), "snapshot of %q", s.SourceID)
}

func snapshotRead(f *fixture) {
	began := time.Now()
	f.record(store.Snapshot{SourceID: "a", Version: 7, Type: "order", Data: map[string]int{"n": 1}, Metadata: map[string]string{"by": "me"}})
	f.record(store.Snapshot{SourceID: "b", Version: 0, Data: nil})
	got := f.snapshot("a")
	assert.Equal(f, []any{"a", int64(7), "order", ""}, []any{got.SourceID, got.Version, got.Type, got.ContentType})
	assert.JSONEq(f, `{"n":1}`, string(got.Data))
	assert.JSONEq(f, `{"by":"me"}`, string(got.Metadata))
	assert.WithinRange(f, got.CreatedAt, began.Add(-time.Minute), time.Now().Add(time.Minute))
	assert.Equal(f, time.UTC, got.CreatedAt.Location())
	var data, metadata map[string]any
	require.NoError(f, got.Decode(&data))
	require.NoError(f, got.DecodeMetadata(&metadata))
	assert.Equal(f, map[string]any{"n": 1.0}, data)
	assert.Equal(f, map[string]any{"by": "me"}, metadata)
	assert.ErrorIs(f, got.Decode(new(int)), store.ErrDecode)

	got = f.snapshot("b")
	assert.Zero(f, got.Version)
	assert.Equal(f, `null`, string(got.Data))
	assert.Nil(f, got.Metadata, "absent")
}

func snapshotAbsent(f *fixture) {
	f.fill("a", 1)
	var absent *store.SnapshotNotFoundError
	_, err := f.es.ReadSnapshot(f.ctx, "a")
	require.ErrorIs(f, err, store.ErrSnapshotNotFound)
	require.ErrorAs(f, err, &absent)
	assert.Equal(f, "a", absent.SourceID)
	f.record(store.Snapshot{SourceID: "other"})
	_, err = f.es.ReadSnapshot(f.ctx, "a")
	require.ErrorIs(f, err, store.ErrSnapshotNotFound)
}

func snapshotNewer(f *fixture) {
	f.record(store.Snapshot{SourceID: "a", Version: 1, Type: "old", Data: "old", Metadata: "old"})
	f.record(store.Snapshot{SourceID: "b", Version: 9, Data: "b"})
	before := f.snapshot("a")
	f.later(before.CreatedAt)
	f.record(store.Snapshot{SourceID: "a", Version: 5, Type: "new", Data: "new"})
	got := f.snapshot("a")
	assert.Equal(f, []any{int64(5), "new", `"new"`}, []any{got.Version, got.Type, string(got.Data)})
	assert.Nil(f, got.Metadata, "nothing is left of the one before")
	assert.True(f, got.CreatedAt.After(before.CreatedAt), "the time is that of this one")
	f.record(store.Snapshot{SourceID: "a", Version: 5, Data: "same version"})
	assert.Equal(f, `"same version"`, string(f.snapshot("a").Data))
	assert.Equal(f, `"b"`, string(f.snapshot("b").Data), "others stay as they are")
}

func snapshotOlder(f *fixture) {
	f.record(store.Snapshot{SourceID: "a", Version: 5, Data: "newer", Metadata: "m"})
	before := f.snapshot("a")
	var conflict *store.SnapshotConflictError
	for _, version := range []int64{4, 0} {
		err := f.es.RecordSnapshot(f.ctx, store.Snapshot{SourceID: "a", Version: version, Type: "state", Data: "older"})
		require.ErrorIs(f, err, store.ErrSnapshotConflict)
		require.ErrorAs(f, err, &conflict)
		assert.Equal(f, store.SnapshotConflictError{SourceID: "a", Version: version, Recorded: 5}, *conflict)
		assert.Equal(f, before, f.snapshot("a"), "nothing has changed")
	}
}

func snapshotForce(f *fixture) {
	f.record(store.Snapshot{SourceID: "a", Version: 5, Data: "wrong"})
	f.record(store.Snapshot{SourceID: "a", Version: 3, Data: "right", Force: true})
	got := f.snapshot("a")
	assert.Equal(f, []any{int64(3), `"right"`}, []any{got.Version, string(got.Data)})
	f.record(store.Snapshot{SourceID: "new", Version: 3, Data: "first", Force: true})
	assert.Equal(f, `"first"`, string(f.snapshot("new").Data))
}

func snapshotDelete(f *fixture) {
	f.record(store.Snapshot{SourceID: "a", Version: 5, Data: "a"})
	f.record(store.Snapshot{SourceID: "b", Version: 5, Data: "b"})
	require.NoError(f, f.es.DeleteSnapshot(f.ctx, "a"))
	_, err := f.es.ReadSnapshot(f.ctx, "a")
	require.ErrorIs(f, err, store.ErrSnapshotNotFound)
	require.NoError(f, f.es.DeleteSnapshot(f.ctx, "a"), "what is not there is gone already")
	assert.Equal(f, `"b"`, string(f.snapshot("b").Data))
	f.record(store.Snapshot{SourceID: "a", Version: 1, Data: "again"})
	assert.Equal(f, int64(1), f.snapshot("a").Version, "nothing is left of its version")
}

func snapshotSources(f *fixture) {
	names := []string{"a", "A", "a ", "ä", "日本", "a%", `quo"te's \\`, "$all", strings.Repeat("x", store.MaxStreamName)}
	for i, name := range names {
		f.record(store.Snapshot{SourceID: name, Version: int64(i), Data: i})
	}
	f.fill("a", 3)
	f.fill("no source", 3)
	f.delete("a", store.HardDelete)
	f.delete("no source", store.HardDelete)
	for i, name := range names[1:] {
		got := f.snapshot(name)
		assert.Equal(f, []any{name, fmt.Sprint(i + 1)}, []any{got.SourceID, string(got.Data)}, "other streams come and go without them")
	}
}

func snapshotHardDeleted(f *fixture) {
	for _, name := range []string{"s", "after soft", "links"} {
		f.record(store.Snapshot{SourceID: name, Version: 9, Data: name})
	}
	source := f.fill("s", 3)
	f.fill("after soft", 3)
	f.link("links", store.NoStream, source...)
	require.ErrorIs(f, f.es.Delete(f.ctx, "s", store.Version(2), store.HardDelete), store.ErrWrongExpectedVersion)
	assert.Equal(f, int64(9), f.snapshot("s").Version, "a delete that was refused takes nothing")
	f.delete("after soft", store.SoftDelete)
	for _, name := range []string{"links", "s", "after soft"} {
		f.delete(name, store.HardDelete)
		_, err := f.es.ReadSnapshot(f.ctx, name)
		assert.ErrorIs(f, err, store.ErrSnapshotNotFound, name)
		f.fill(name, 1)
		f.record(store.Snapshot{SourceID: name, Version: 1, Data: "new"})
		assert.Equal(f, int64(1), f.snapshot(name).Version, "the first snapshot of a stream that was created again is not older")
	}
}

func snapshotSoftDeleted(f *fixture) {
	f.fill("s", 3)
	f.record(store.Snapshot{SourceID: "s", Version: 3, Data: 3})
	f.delete("s", store.SoftDelete)
	assert.Equal(f, int64(3), f.snapshot("s").Version)
}

func snapshotContentType(f *fixture) {
	es := f.open(&store.Options{Serializer: labelled{}, MetadataSerializer: labelled{}})
	for _, data := range []label{"", "json;v=3"} {
		for _, metadata := range []any{nil, 1, label("json;v=2")} {
			require.NoError(f, es.RecordSnapshot(f.ctx, store.Snapshot{SourceID: "a", Type: "state", Data: data, Metadata: metadata}))
			got, err := es.ReadSnapshot(f.ctx, "a")
			require.NoError(f, err)
			want := string(data)
			if metadata == label("json;v=2") {
				want = strings.TrimPrefix(want, store.JSON)
				want = store.JSON + want + ",json;v=2"
			}
			assert.Equal(f, want, got.ContentType)
		}
	}
}

func snapshotLarge(f *fixture) {
	text := bytes.Repeat([]byte("0123456789"), 300_000)
	f.record(store.Snapshot{SourceID: "a", Version: 1 << 60, Data: string(text), Metadata: string(text[:900_000])})
	got := f.snapshot("a")
	assert.Equal(f, int64(1<<60), got.Version)
	assert.Len(f, got.Data, len(text)+2)
	assert.Len(f, got.Metadata, 900_002)
}

func snapshotLimits(f *fixture) {
	good := store.Snapshot{SourceID: "a", Version: 1, Type: "state", Data: 1}
	for field, change := range sorted(map[string]func(s *store.Snapshot){
		"source_id": func(s *store.Snapshot) { s.SourceID = "" },
		"version":   func(s *store.Snapshot) { s.Version = -1 },
		"type":      func(s *store.Snapshot) { s.Type = strings.Repeat("t", store.MaxType+1) },
		"data":      func(s *store.Snapshot) { s.Data = func() {} },
		"metadata": func(s *store.Snapshot) {
			s.Metadata = json.RawMessage(`"` + strings.Repeat("m", store.MaxMetadata) + `"`)
		},
	}) {
		bad := good
		change(&bad)
		var invalid *store.InvalidError
		err := f.es.RecordSnapshot(f.ctx, bad)
		require.ErrorIs(f, err, store.ErrInvalid, field)
		require.ErrorAs(f, err, &invalid)
		assert.Equal(f, field, invalid.Field)
	}
	for _, name := range []string{"", "\x00", "\xff", strings.Repeat("x", store.MaxStreamName+1)} {
		_, err := f.es.ReadSnapshot(f.ctx, name)
		assert.ErrorIs(f, err, store.ErrInvalid, "%q", name)
		assert.ErrorIs(f, f.es.DeleteSnapshot(f.ctx, name), store.ErrInvalid, "%q", name)
	}
	_, err := f.es.ReadSnapshot(f.ctx, "a")
	assert.ErrorIs(f, err, store.ErrSnapshotNotFound, "nothing was written")
}

func snapshotConcurrent(f *fixture) {
	const writers, versions = 4, 12
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for v := range int64(versions) {
				version := (v*5 + int64(w)) % versions // each in another order
				err := f.es.RecordSnapshot(f.ctx, store.Snapshot{SourceID: "a", Version: version, Type: "state", Data: version})
				if err != nil {
					assert.ErrorIs(f, err, store.ErrSnapshotConflict)
				}
			}
		})
	}
	wg.Wait()
	got := f.snapshot("a")
	assert.Equal(f, []any{int64(versions - 1), fmt.Sprint(versions - 1)}, []any{got.Version, string(got.Data)})
}
