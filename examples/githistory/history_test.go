package main

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// onEach runs a test on each database, which is empty.
func onEach(t *testing.T, test func(t *testing.T, target string)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, filepath.Join(t.TempDir(), "history.db"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, pgtest.Database(t))
	})
}

func opened(t *testing.T, target string) *history {
	t.Helper()
	h, err := open(t.Context(), target)
	require.NoError(t, err)
	t.Cleanup(h.close)
	return h
}

// program runs the program and returns what it prints.
func program(t *testing.T, r *testRepo, target string) string {
	t.Helper()
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out, r.path, target, false))
	return out.String()
}

// checkWhole checks that the store has every commit of the repository once, after its parents and as it is, and that
// the table is what the events fold to.
func checkWhole(t *testing.T, h *history, r *testRepo) {
	t.Helper()
	events := checkTable(t, h)
	commits := read(t, r)
	require.Len(t, events, len(commits))
	seen := map[string]store.Recorded{}
	for _, e := range events {
		c, err := store.Decode[commit](e)
		require.NoError(t, err)
		for i, parent := range c.Parents {
			require.Contains(t, seen, parent, "a parent comes first")
			if i == 0 {
				assert.Equal(t, seen[parent].ID, e.CausationID)
			}
		}
		seen[c.Hash] = e
	}
	for _, c := range commits {
		e := seen[c.Hash]
		assert.True(t, c.Time.Equal(e.CreatedAt), "%v, %v", c.Time, e.CreatedAt)
		assert.Equal(t, c.stream(), e.Stream)
		want, err := json.Marshal(c)
		require.NoError(t, err)
		assert.JSONEq(t, string(want), string(e.Data))
	}
}

// checkTable checks that the table is what the events fold to, and returns them.
func checkTable(t *testing.T, h *history) []store.Recorded {
	t.Helper()
	var events []store.Recorded
	fold := map[key]int64{}
	for e, err := range h.es.All(t.Context(), nil) {
		require.NoError(t, err)
		events = append(events, e)
		fold[keyOf(e.Stream, e.CreatedAt)]++
	}
	table, err := readTable(t.Context(), h.db, readSQL)
	require.NoError(t, err)
	require.Equal(t, fold, table)
	return events
}

func TestRunAgainAndAgain(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, target string) {
		r := newRepo(t)
		assert.Contains(t, program(t, r, target), "0 new commits")
		r.commits(12)
		r.at = "@99999999999 +0000" // the year 5138
		r.commit("from the future")

		out := program(t, r, target)
		assert.Contains(t, out, "13 new commits")
		assert.Contains(t, out, "The table counts 13 commits, the store has 13 events.")
		assert.Contains(t, out, "The longest of 3 streams:\n  author-author2@example.org  version 5  since 2020-10-06")
		assert.Regexp(t, `  13  \w{10}  5138-11-16  0 files  Author 2  from the future\n  12  `, out)
		h := opened(t, target)
		checkWhole(t, h, r)

		assert.Contains(t, program(t, r, target), "0 new commits")
		checkWhole(t, h, r)

		r.git("switch", "--quiet", "--create", "side", "HEAD~5")
		r.who = "Newcomer <new@example.org>"
		r.commit("on the side")
		r.git("switch", "--quiet", "main")
		r.git("merge", "--quiet", "--no-edit", "side")
		assert.Contains(t, program(t, r, target), "2 new commits")
		checkWhole(t, h, r)
	})
}

// Two runs at a time store each commit once, and leave the table right.
func TestTwoRunsAtATime(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, target string) {
		r := newRepo(t)
		r.commits(20)
		var runs sync.WaitGroup
		for range 2 {
			h := opened(t, target)
			runs.Go(func() {
				hashes, err := h.missing(t.Context(), r.path)
				if err == nil {
					err = h.add(t.Context(), r.path.commits(t.Context(), hashes), func(int) {})
				}
				if !errors.Is(err, errAnotherRun) {
					assert.NoError(t, err)
				}
			})
		}
		runs.Wait()
		checkWhole(t, opened(t, target), r)
	})
}

// A cancelled run leaves nothing of its batch.
func TestCancelled(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, target string) {
		r := newRepo(t)
		r.commits(8)
		h := opened(t, target)
		h.batchSize = 3
		hashes, err := h.missing(t.Context(), r.path)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		err = h.add(ctx, r.path.commits(ctx, hashes), func(int) { cancel() })
		require.ErrorIs(t, err, context.Canceled)
		assert.Len(t, checkTable(t, h), 3)
		assert.Contains(t, program(t, r, target), "5 new commits")
		checkWhole(t, h, r)
	})
}

// Where the table can't be changed, no event is stored.
func TestTableFails(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, target string) {
		r := newRepo(t)
		r.commits(3)
		h := opened(t, target)
		_, err := h.db.ExecContext(t.Context(), "drop table commits_per_month")
		require.NoError(t, err)
		hashes, err := h.missing(t.Context(), r.path)
		require.NoError(t, err)
		require.ErrorContains(t, h.add(t.Context(), r.path.commits(t.Context(), hashes), func(int) {}), "commits_per_month")
		head, err := h.es.Head(t.Context())
		require.NoError(t, err)
		assert.Zero(t, head)
	})
}
