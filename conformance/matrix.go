package conformance

import (
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

var matrixCases = []testCase{
	{
		name: "matrix/append", deadline: longDeadline,
		why: "the expected version is what keeps two writers from overwriting each other's decisions: each belief has one answer for each state of the stream",
		run: func(f *fixture) { writeMatrix(f, appendOne) },
	},
	{
		name: "matrix/link", deadline: longDeadline,
		why: "links take part in the stream's versions, so they are judged exactly as appends are",
		run: func(f *fixture) { writeMatrix(f, linkOne) },
	},
	{
		name: "matrix/soft-delete", deadline: longDeadline,
		why: "a delete is a decision about a state of the stream, and is judged as one",
		run: func(f *fixture) { deleteMatrix(f, softDeleteMatrix, store.SoftDelete, f.es) },
	},
	{
		name: "matrix/hard-delete", deadline: longDeadline,
		why: "a delete is a decision about a state of the stream, and is judged as one; a hard delete may follow a soft one",
		run: func(f *fixture) { deleteMatrix(f, hardDeleteMatrix, store.HardDelete, f.es) },
	},
	{
		name: "matrix/hard-delete-disabled", deadline: longDeadline,
		why: "without the option nothing can be destroyed, and the version is still judged first",
		run: func(f *fixture) { deleteMatrix(f, disabledDeleteMatrix, store.HardDelete, f.open(nil)) },
	},
}

// atN is the version of the streams in the matrices that have events.
const atN = 3

// states that a stream is in, in the order of the matrices' columns. An existing but empty stream is a fourth that
// this API can't make; see TestJudge.
var states = []string{"absent", "at-n", "soft-deleted", "hard-deleted"}

// enter brings a stream into a state.
func (f *fixture) enter(stream, state string) {
	if state == "absent" {
		return
	}
	f.append(stream, store.NoStream, events(atN)...)
	switch state {
	case "soft-deleted":
		require.NoError(f, f.es.Delete(f.ctx, stream, store.Any, store.SoftDelete))
	case "hard-deleted":
		require.NoError(f, f.es.Delete(f.ctx, stream, store.Any, store.HardDelete))
	}
}

// version returns a stream's version, 0 if it is absent, and whether it is soft deleted.
func (f *fixture) version(stream string) (int64, store.StreamStatus) {
	f.Helper()
	info, err := f.es.StreamInfo(f.ctx, stream)
	if err != nil {
		require.ErrorIs(f, err, store.ErrStreamNotFound)
		return 0, ""
	}
	return info.Version, info.Status()
}

// verdict is a cell of a matrix: the sentinels that the error must be, none for success.
type verdict []error

var (
	ok       verdict
	wrong    = verdict{store.ErrWrongExpectedVersion}
	exists   = verdict{store.ErrWrongExpectedVersion, store.ErrStreamExists}
	missing  = verdict{store.ErrWrongExpectedVersion, store.ErrStreamNotFound}
	notFound = verdict{store.ErrStreamNotFound}
	deleted  = verdict{store.ErrStreamDeleted}
	disabled = verdict{store.ErrHardDeleteDisabled}
)

// check compares an error with the verdict: it must be what the verdict says, and nothing else.
func (v verdict) check(f *fixture, err error) {
	f.Helper()
	for _, sentinel := range []error{
		store.ErrWrongExpectedVersion, store.ErrStreamExists, store.ErrStreamNotFound, store.ErrStreamDeleted, store.ErrStreamNotDeleted,
		store.ErrHardDeleteDisabled,
	} {
		owed := false
		for _, s := range v {
			owed = owed || s == sentinel //nolint:errorlint // both are sentinels
		}
		if owed {
			assert.ErrorIs(f, err, sentinel)
		} else {
			assert.NotErrorIs(f, err, sentinel)
		}
	}
	if len(v) == 0 {
		assert.NoError(f, err)
	}
}

// belief is a row of a matrix.
type belief struct {
	name     string
	expected store.Expected
	verdicts []verdict // by state
}

var writes = []belief{
	{"any", store.Any, []verdict{ok, ok, deleted, ok}},
	{"no-stream", store.NoStream, []verdict{ok, exists, deleted, ok}},
	{"stream-exists", store.StreamExists, []verdict{missing, ok, deleted, missing}},
	{"version-0", store.Version(0), []verdict{ok, wrong, deleted, ok}},
	{"version-n", store.Version(atN), []verdict{wrong, ok, deleted, wrong}},
	{"lower-version", store.Version(atN - 1), []verdict{wrong, wrong, deleted, wrong}},
	{"higher-version", store.Version(atN + 1), []verdict{wrong, wrong, deleted, wrong}},
	{"negative-version", store.Version(-1), []verdict{wrong, wrong, deleted, wrong}},
}

var softDeleteMatrix = []belief{
	{"any", store.Any, []verdict{notFound, ok, deleted, notFound}},
	{"no-stream", store.NoStream, []verdict{notFound, exists, deleted, notFound}},
	{"stream-exists", store.StreamExists, []verdict{notFound, ok, deleted, notFound}},
	{"version-0", store.Version(0), []verdict{notFound, wrong, deleted, notFound}},
	{"version-n", store.Version(atN), []verdict{wrong, ok, deleted, wrong}},
	{"lower-version", store.Version(atN - 1), []verdict{wrong, wrong, deleted, wrong}},
	{"higher-version", store.Version(atN + 1), []verdict{wrong, wrong, deleted, wrong}},
	{"negative-version", store.Version(-1), []verdict{wrong, wrong, deleted, wrong}},
}

var hardDeleteMatrix = []belief{
	{"any", store.Any, []verdict{notFound, ok, ok, notFound}},
	{"no-stream", store.NoStream, []verdict{notFound, exists, exists, notFound}},
	{"stream-exists", store.StreamExists, []verdict{notFound, ok, ok, notFound}},
	{"version-0", store.Version(0), []verdict{notFound, wrong, wrong, notFound}},
	{"version-n", store.Version(atN), []verdict{wrong, ok, ok, wrong}},
	{"lower-version", store.Version(atN - 1), []verdict{wrong, wrong, wrong, wrong}},
	{"higher-version", store.Version(atN + 1), []verdict{wrong, wrong, wrong, wrong}},
	{"negative-version", store.Version(-1), []verdict{wrong, wrong, wrong, wrong}},
}

var disabledDeleteMatrix = []belief{
	{"any", store.Any, []verdict{disabled, disabled, disabled, disabled}},
	{"no-stream", store.NoStream, []verdict{disabled, exists, exists, disabled}},
	{"stream-exists", store.StreamExists, []verdict{notFound, disabled, disabled, notFound}},
	{"version-0", store.Version(0), []verdict{disabled, wrong, wrong, disabled}},
	{"version-n", store.Version(atN), []verdict{wrong, disabled, disabled, wrong}},
	{"lower-version", store.Version(atN - 1), []verdict{wrong, wrong, wrong, wrong}},
	{"higher-version", store.Version(atN + 1), []verdict{wrong, wrong, wrong, wrong}},
	{"negative-version", store.Version(-1), []verdict{wrong, wrong, wrong, wrong}},
}

// cells runs a subcase for each cell, over a stream that is in the cell's state already.
func cells(f *fixture, matrix []belief, cell func(f *fixture, stream string, b belief, v verdict)) {
	for _, b := range matrix {
		for i, state := range states {
			f.sub(b.name+"/"+state, func(f *fixture) {
				stream := b.name + " " + state
				f.enter(stream, state)
				cell(f, stream, b, b.verdicts[i])
			})
		}
	}
}

// writeMatrix tries a write of one event in each cell.
func writeMatrix(f *fixture, write func(f *fixture, stream string, e store.Expected) (store.AppendResult, error)) {
	cells(f, writes, func(f *fixture, stream string, b belief, v verdict) {
		was, status := f.version(stream)
		res, err := write(f, stream, b.expected)
		v.check(f, err)
		now, statusNow := f.version(stream)
		if len(v) > 0 {
			assert.Zero(f, res, "a result in spite of the error")
			assert.Equal(f, was, now, "the version moved in spite of the error")
			assert.Equal(f, status, statusNow, "the status changed in spite of the error")
			return
		}
		assert.Equal(f, store.AppendResult{Stream: stream, First: was + 1, Last: was + 1}, res)
		assert.Equal(f, was+1, now, "version after the write")
	})
}

func appendOne(f *fixture, stream string, e store.Expected) (store.AppendResult, error) {
	return f.es.Append(f.ctx, stream, e, events(1)...)
}

func linkOne(f *fixture, stream string, e store.Expected) (store.AppendResult, error) {
	source := f.fill("source of "+stream, 1)
	return f.es.Link(f.ctx, stream, e, source[0].ID)
}

// deleteMatrix tries a delete in each cell.
func deleteMatrix(f *fixture, matrix []belief, kind store.DeleteKind, es face) {
	cells(f, matrix, func(f *fixture, stream string, b belief, v verdict) {
		was, status := f.version(stream)
		err := es.Delete(f.ctx, stream, b.expected, kind)
		v.check(f, err)
		now, statusNow := f.version(stream)
		switch {
		case len(v) > 0:
			assert.Equal(f, was, now, "the version moved in spite of the error")
			assert.Equal(f, status, statusNow, "the status changed in spite of the error")
		case kind == store.SoftDelete:
			assert.Equal(f, was, now, "a soft delete keeps the version")
			assert.Equal(f, store.Deleted, statusNow)
		default:
			assert.Empty(f, statusNow, "the stream is still there")
		}
	})
}
