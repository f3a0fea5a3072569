package store_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

// The matrix of expected versions, every cell, as the backends judge it. Package conformance runs the states that a
// stream can be brought to; an empty one (version 0) can't be made any more, but the judgement stands.
var states = []store.State{
	{}, // absent, never there or hard deleted
	{Exists: true},
	{Exists: true, Version: 3},
	{Exists: true, Version: 3, Deleted: true},
}

func TestJudge(t *testing.T) {
	exists, notFound, wrong, deleted := store.ErrStreamExists, store.ErrStreamNotFound, store.ErrWrongExpectedVersion, store.ErrStreamDeleted
	for _, row := range []struct {
		expected store.Expected
		want     [4]error // absent, empty, at 3, soft deleted
	}{
		{store.Any, [4]error{nil, nil, nil, deleted}},
		{store.NoStream, [4]error{nil, nil, exists, deleted}},
		{store.StreamExists, [4]error{notFound, nil, nil, deleted}},
		{store.Version(0), [4]error{nil, nil, wrong, deleted}},
		{store.Version(3), [4]error{wrong, wrong, nil, deleted}},
		{store.Version(2), [4]error{wrong, wrong, wrong, deleted}},
		{store.Version(4), [4]error{wrong, wrong, wrong, deleted}},
		{store.Version(-1), [4]error{wrong, wrong, wrong, deleted}},
		{store.Version(math.MaxInt64), [4]error{wrong, wrong, wrong, deleted}},
	} {
		for i, s := range states {
			check(t, row.want[i], row.expected.Judge("s", s), "%s of %+v", row.expected, s)
		}
	}
}

func TestJudgeDelete(t *testing.T) {
	exists, notFound, wrong, deleted, disabled := store.ErrStreamExists, store.ErrStreamNotFound, store.ErrWrongExpectedVersion, store.ErrStreamDeleted, store.ErrHardDeleteDisabled
	for _, row := range []struct {
		expected             store.Expected
		soft, hard, disabled [4]error
	}{
		{store.Any, [4]error{notFound, nil, nil, deleted}, [4]error{notFound, nil, nil, nil}, [4]error{disabled, disabled, disabled, disabled}},
		{store.NoStream, [4]error{notFound, nil, exists, deleted}, [4]error{notFound, nil, exists, exists}, [4]error{disabled, disabled, exists, exists}},
		{store.StreamExists, [4]error{notFound, nil, nil, deleted}, [4]error{notFound, nil, nil, nil}, [4]error{notFound, disabled, disabled, disabled}},
		{store.Version(0), [4]error{notFound, nil, wrong, deleted}, [4]error{notFound, nil, wrong, wrong}, [4]error{disabled, disabled, wrong, wrong}},
		{store.Version(3), [4]error{wrong, wrong, nil, deleted}, [4]error{wrong, wrong, nil, nil}, [4]error{wrong, wrong, disabled, disabled}},
		{store.Version(2), [4]error{wrong, wrong, wrong, deleted}, [4]error{wrong, wrong, wrong, wrong}, [4]error{wrong, wrong, wrong, wrong}},
		{store.Version(-1), [4]error{wrong, wrong, wrong, deleted}, [4]error{wrong, wrong, wrong, wrong}, [4]error{wrong, wrong, wrong, wrong}},
	} {
		for i, s := range states {
			r := store.DeleteRequest{Stream: "s", Expected: row.expected}
			check(t, row.soft[i], r.Judge(s), "soft, %s of %+v", row.expected, s)
			r.Kind = store.HardDelete
			check(t, row.hard[i], r.Judge(s), "hard, %s of %+v", row.expected, s)
			r.Disabled = true
			check(t, row.disabled[i], r.Judge(s), "hard but disabled, %s of %+v", row.expected, s)
		}
	}
}

func check(t *testing.T, want, got error, message string, args ...any) {
	t.Helper()
	if want == nil {
		require.NoErrorf(t, got, message, args...)
		return
	}
	require.ErrorIsf(t, got, want, message, args...)
}

func TestExpectedZeroValue(t *testing.T) {
	require.True(t, store.Expected{}.IsZero())
	for _, e := range []store.Expected{store.Any, store.NoStream, store.StreamExists, store.Version(0), store.Version(7), store.Version(-7)} {
		require.False(t, e.IsZero(), e.String())
	}
	require.NotEqual(t, store.NoStream, store.Version(0), "they fail with different errors")
}
