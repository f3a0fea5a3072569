package readers

import (
	"context"
	"time"

	"github.com/eventstore-go/eventstore/store"
)

// Subscription is a persistent subscription.
type Subscription struct {
	Stream     string    `json:"stream"`
	Name       string    `json:"name"`
	Checkpoint int64     `json:"checkpoint"`
	Head       int64     `json:"head"`
	Lag        int64     `json:"lag"`
	Parked     int64     `json:"parked,omitempty"`
	Owner      string    `json:"owner,omitempty"`
	Held       bool      `json:"held"`
	LeaseUntil time.Time `json:"lease_until,omitzero"`
	Epoch      int64     `json:"epoch"`
	CreatedAt  time.Time `json:"created_at"`
	UpdatedAt  time.Time `json:"updated_at"`

	// Since when it has not moved, although there are events behind the checkpoint.
	StalledSince   time.Time `json:"stalled_since,omitzero"`
	StalledSeconds float64   `json:"stalled_seconds,omitempty"`

	LastError       string    `json:"last_error,omitempty"`
	LastErrorNumber int64     `json:"last_error_number,omitempty"`
	LastErrorAt     time.Time `json:"last_error_at,omitzero"`
}

// SubscriptionOf returns what a store says of a subscription.
func SubscriptionOf(s store.SubscriptionInfo) Subscription {
	return Subscription{
		s.Stream, s.Name, s.Passed(), s.Head, s.Lag(), s.Parked, s.Owner, s.Held, s.LeaseUntil, s.Epoch, s.CreatedAt, s.UpdatedAt,
		s.StalledSince(), s.Stalled().Seconds(), s.LastError, s.LastErrorNumber, s.LastErrorAt,
	}
}

// FindSubscription returns a subscription. The error is [store.ErrSubscriptionNotFound] if there is none.
func FindSubscription(ctx context.Context, es *store.Store, stream, name string) (store.SubscriptionInfo, error) {
	list, err := es.Subscriptions(ctx)
	if err != nil {
		return store.SubscriptionInfo{}, err
	}
	for _, s := range list {
		if s.Stream == stream && s.Name == name {
			return s, nil
		}
	}
	return store.SubscriptionInfo{}, &store.SubscriptionError{
		SubscriptionID: store.SubscriptionID{Stream: stream, Name: name}, Err: store.ErrSubscriptionNotFound,
	}
}
