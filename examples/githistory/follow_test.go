package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
)

// A follower that is killed, before it has counted or after, leaves a table that the next one brings to what it should
// be, while runs import beside it.
func TestFollowerKilled(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, target string) {
		r := newRepo(t)
		h := opened(t, target)
		for i, at := range []string{"counting 1", "counted 1", "counting 2", "counted 2"} {
			r.commits(5 + i)
			importing := make(chan string, 1)
			go func() { importing <- program(t, r, target) }()
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFollowerKilledChild$")
			child.Env = append(os.Environ(), "FOLLOW_TARGET="+target, "FOLLOW_KILL="+at)
			out, err := child.CombinedOutput()
			require.Error(t, err)
			require.Equal(t, -1, child.ProcessState.ExitCode(), "it was killed: %s", out)
			<-importing
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- h.follow(ctx, io.Discard) }()
		require.Eventually(t, func() bool {
			followed, err := readTable(t.Context(), h.db, followedSQL)
			require.NoError(t, err)
			table, err := readTable(t.Context(), h.db, readSQL)
			require.NoError(t, err)
			return fmt.Sprint(followed) == fmt.Sprint(table)
		}, time.Minute, 20*time.Millisecond, "both tables say the same in the end")
		cancel()
		require.NoError(t, <-done, "an interrupt ends it well")
		list, err := h.es.Subscriptions(t.Context())
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.False(t, list[0].Held, "its lease is free")
		require.Zero(t, list[0].Lag())
	})
}

// TestFollowerKilledChild is the follower that is killed. It does nothing unless TestFollowerKilled started it.
func TestFollowerKilledChild(t *testing.T) {
	kill := os.Getenv("FOLLOW_KILL")
	if kill == "" {
		return
	}
	h, err := open(t.Context(), os.Getenv("FOLLOW_TARGET"))
	require.NoError(t, err)
	h.batchSize = 2
	steps := map[string]int{}
	h.followed = func(step string) {
		steps[step]++
		if fmt.Sprint(step, " ", steps[step]) != kill {
			return
		}
		self, err := os.FindProcess(os.Getpid())
		require.NoError(t, err)
		require.NoError(t, self.Kill())
		select {} // until it is dead
	}
	require.NoError(t, h.follow(t.Context(), io.Discard))
}

func TestMain(m *testing.M) {
	leaseTTL = 500 * time.Millisecond
	os.Exit(pgtest.Main(m))
}
