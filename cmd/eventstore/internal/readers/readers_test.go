package readers_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/readers"
	"github.com/eventstore-go/eventstore/store"
)

func TestFindSubscription(t *testing.T) {
	t.Parallel()
	es := store.New(memory.New(), nil)
	s, err := es.Subscribe(t.Context(), "a", "mailer", nil)
	require.NoError(t, err)
	require.NoError(t, s.Close())

	found, err := readers.FindSubscription(t.Context(), es, "a", "mailer")
	require.NoError(t, err)
	assert.Equal(t, store.SubscriptionID{Stream: "a", Name: "mailer"}, store.SubscriptionID{Stream: found.Stream, Name: found.Name})
	for _, other := range [][2]string{{"b", "mailer"}, {"a", "other"}} {
		_, err = readers.FindSubscription(t.Context(), es, other[0], other[1])
		require.ErrorIs(t, err, store.ErrSubscriptionNotFound)
	}
}

// TestParked parks, replays and discards events of a subscription, and of nothing else of its name.
func TestParked(t *testing.T) {
	t.Parallel()
	b := memory.New()
	es := store.New(b, nil)
	r := readers.Reader{Stream: store.All, Name: "mailer"}
	id := store.SubscriptionID{Stream: store.All, Name: "mailer"}
	lease, err := b.AcquireLease(t.Context(), store.LeaseRequest{ID: id, Owner: "me", TTL: time.Minute, Create: true})
	require.NoError(t, err)
	change := store.ParkedChange{ID: id, Epoch: lease.Epoch}
	for i, stream := range []string{"a", "b", "a"} {
		eventID := uuid.New()
		written, err := es.Append(t.Context(), stream, store.Any, store.Event{ID: eventID, Type: "sent", Data: i})
		require.NoError(t, err)
		e := store.ParkedEvent{Subscription: id, Key: stream, Number: int64(i + 1), ID: eventID, Stream: stream, Version: written.Last, Type: "sent"}
		if e.Failed = i < 2; e.Failed {
			e.Error, e.Attempts = "no", 1
		}
		change.Park = append(change.Park, e)
	}
	_, err = b.SaveParked(t.Context(), change)
	require.NoError(t, err)

	reasons := func(f store.ParkedFilter) (list []readers.Reason) {
		t.Helper()
		events, err := r.Parked(t.Context(), es, f)
		require.NoError(t, err)
		for _, e := range events {
			list = append(list, e.Reason())
		}
		return list
	}
	assert.Equal(t, []readers.Reason{readers.Failed, readers.Failed, readers.Behind}, reasons(store.ParkedFilter{}))
	n, err := r.Replay(t.Context(), es, store.ParkedFilter{Keys: []string{"a"}})
	require.NoError(t, err)
	assert.EqualValues(t, 2, n)
	assert.Equal(t, []readers.Reason{readers.Queued, readers.Behind}, reasons(store.ParkedFilter{Keys: []string{"a"}}))
	n, err = r.Discard(t.Context(), es, store.ParkedFilter{Numbers: []int64{2}})
	require.NoError(t, err)
	assert.EqualValues(t, 1, n)
	assert.Equal(t, []readers.Reason{readers.Queued, readers.Behind}, reasons(store.ParkedFilter{}))

	_, err = readers.Reader{Stream: "a", Name: "mailer"}.Parked(t.Context(), es, store.ParkedFilter{})
	require.ErrorIs(t, err, store.ErrSubscriptionNotFound)
}

// TestJSON: the JSON forms are an interface of the program.
func TestJSON(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	info := store.SubscriptionInfo{Head: 9, CreatedAt: at, UpdatedAt: at}
	info.Stream, info.Name, info.Checkpoint = "a", "mailer", 9
	for want, v := range map[string]any{
		`{"stream":"a","name":"mailer","checkpoint":9,"head":9,"lag":0,"held":false,"epoch":0,"created_at":"2026-01-02T03:04:05Z","updated_at":"2026-01-02T03:04:05Z"}`: readers.SubscriptionOf(info),
		`{"name":"p","stream":"$all","checkpoint":0,"lag":0,"rate":0,"parked":0,"members":1,"created_at":"2026-01-02T03:04:05Z","partitions":null}`: readers.ProjectionOf(store.ProjectionInfo{
			Name: "p", Stream: store.All, Members: 1, CreatedAt: at,
		}),
		`{"number":1,"key":"a","stream":"a","version":1,"id":"00000000-0000-0000-0000-000000000000","type":"t","failed":false,"attempts":0,"parked_at":"2026-01-02T03:04:05Z"}`: readers.Parked{
			Number: 1, Key: "a", Stream: "a", Version: 1, Type: "t", ParkedAt: at,
		},
	} {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		assert.Equal(t, want, string(text))
	}
}
