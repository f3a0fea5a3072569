package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/store"
)

// A run that is killed, wherever it is in a batch, leaves the events and the table agreeing, and the next one goes on.
func TestKilled(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, target string) {
		r := newRepo(t)
		r.commits(12)
		h := opened(t, target)
		stored := 0
		for _, at := range []int{1, 8, 5} { // counted from what the run before left
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledChild$")
			child.Env = append(os.Environ(), "KILL_TARGET="+target, "KILL_REPO="+string(r.path), fmt.Sprint("KILL_AT=", at))
			out, err := child.CombinedOutput()
			require.Error(t, err)
			require.Equal(t, -1, child.ProcessState.ExitCode(), "it was killed: %s", out)
			stored += (at - 1) / killBatch * killBatch
			assert.Len(t, checkTable(t, h), stored, "whole batches only")
		}
		require.NotZero(t, stored)
		assert.Contains(t, program(t, r, target), fmt.Sprintf("%d new commits", 12-stored))
		checkWhole(t, h, r)
	})
}

// killBatch is the size of the batches of runs that are killed.
const killBatch = 3

// TestKilledChild is the run that is killed. It does nothing unless TestKilled started it.
func TestKilledChild(t *testing.T) {
	at, err := strconv.Atoi(os.Getenv("KILL_AT"))
	if err != nil {
		return
	}
	db, b, err := connect(os.Getenv("KILL_TARGET"))
	require.NoError(t, err)
	h := &history{db: db, es: store.New(b, &store.Options{Serializer: &killer{serializer.JSON(types), at}}), batchSize: killBatch}
	repo := repository(os.Getenv("KILL_REPO"))
	hashes, err := h.missing(t.Context(), repo)
	require.NoError(t, err)
	require.NoError(t, h.add(t.Context(), repo.commits(t.Context(), hashes), func(int) {}))
}

// killer is a serializer that kills the process when it encodes the event of the given number. That is in the middle of
// a transaction, behind the appends that it holds already.
type killer struct {
	store.Serializer
	at int
}

func (k *killer) TypeName(value any) (string, bool) {
	return k.Serializer.(store.TypeNamer).TypeName(value)
}

func (k *killer) Encode(eventType string, value any) ([]byte, string, error) {
	if k.at--; k.at > 0 {
		return k.Serializer.Encode(eventType, value)
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return nil, "", err
	}
	if err := self.Kill(); err != nil {
		return nil, "", err
	}
	select {} // until it is dead
}
