package store_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

// TestOwnersAreNamed: the list shows by name which process runs a subscription.
func TestOwnersAreNamed(t *testing.T) {
	t.Parallel()
	host, err := os.Hostname()
	require.NoError(t, err)
	for name, want := range map[string]string{
		"":                       fmt.Sprintf("%s:%d/", host, os.Getpid()),
		"mailer 7, eu-west":      "mailer 7, eu-west/",
		strings.Repeat("n", 100): strings.Repeat("n", 100) + "/",
	} {
		p := newProcess(t, memory.New(), &store.Options{Name: name})
		p.subscribe(store.SubscribeOptions{WaitForLease: true})
		owner := p.info().Owner
		assert.True(t, strings.HasPrefix(owner, want), "%q", owner)
		assert.Len(t, owner, len(want)+16)
	}
	for _, name := range []string{strings.Repeat("n", 101), "bad\xff", "null\x00"} {
		err := newProcess(t, memory.New(), &store.Options{Name: name}).Check(t.Context())
		var invalid *store.InvalidError
		require.ErrorAs(t, err, &invalid)
		assert.Equal(t, "Name", invalid.Field)
	}
}

// TestSameNameIsAnotherOwner: two processes of a name are fenced off from each other.
func TestSameNameIsAnotherOwner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		p, q := newProcess(t, b, &store.Options{Name: "mailer"}), newProcess(t, b, &store.Options{Name: "mailer"})
		p.subscribe(store.SubscribeOptions{})
		synctest.Wait()
		r := q.subscribe(store.SubscribeOptions{})
		time.Sleep(time.Hour)
		require.ErrorIs(t, r.State().Err, store.ErrLeaseHeld)
	})
}
