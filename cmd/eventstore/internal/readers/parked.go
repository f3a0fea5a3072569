package readers

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

// Reader is what parks events: a subscription, or a projection, which has no Stream here.
type Reader struct{ Stream, Name string }

// of adds the reader to a filter of its events.
func (r Reader) of(f store.ParkedFilter) *store.ParkedFilter {
	f.Stream = r.Stream
	return &f
}

// Parked returns the parked events of the reader, in order. Stream of the filter is ignored, here and below.
func (r Reader) Parked(ctx context.Context, es *store.Store, f store.ParkedFilter) ([]Parked, error) {
	events, err := es.Parked(ctx, r.Name, r.of(f))
	if err != nil {
		return nil, err
	}
	list := make([]Parked, len(events))
	for i, e := range events {
		list[i] = Parked{e.Number, e.Key, e.Stream, e.Version, e.ID, e.Type, e.Failed, e.Error, e.Attempts, e.ParkedAt}
	}
	return list, nil
}

// Replay lets the reader handle parked events again, in order. It returns how many there are.
func (r Reader) Replay(ctx context.Context, es *store.Store, f store.ParkedFilter) (int64, error) {
	return es.ReplayParked(ctx, r.Name, r.of(f))
}

// Discard removes parked events: they are never handled. It returns how many there were.
func (r Reader) Discard(ctx context.Context, es *store.Store, f store.ParkedFilter) (int64, error) {
	return es.DiscardParked(ctx, r.Name, r.of(f))
}

// Parked is a parked event.
type Parked struct {
	Number   int64     `json:"number"`
	Key      string    `json:"key"`
	Stream   string    `json:"stream"`
	Version  int64     `json:"version"`
	ID       uuid.UUID `json:"id"`
	Type     string    `json:"type"`
	Failed   bool      `json:"failed"`
	Error    string    `json:"error,omitempty"`
	Attempts int       `json:"attempts"`
	ParkedAt time.Time `json:"parked_at"`
}

// Reason is why an event is parked.
type Reason int

const (
	Behind Reason = iota // an event of the same key is parked before it
	Failed               // see Error
	Queued               // it failed, and waits to be handled again
)

// Reason returns why the event is parked.
func (p Parked) Reason() Reason {
	switch {
	case p.Failed:
		return Failed
	case p.Attempts > 0:
		return Queued
	}
	return Behind
}
