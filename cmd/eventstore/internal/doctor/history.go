package doctor

import (
	"context"
	"fmt"

	"github.com/eventstore-go/eventstore/store"
)

// histories reports subscriptions, and partitions of projections, whose checkpoints belong to events that the store does not
// have: it was restored, or failed over to a standby that lagged, apart from its subscriptions. It returns how many.
func (e *examination) histories(ctx context.Context) (bad int, err error) {
	storage, ok := e.d.Backend.(store.SubscriptionStorage)
	if !ok {
		return 0, nil
	}
	list, err := storage.ListSubscriptions(ctx)
	if err != nil {
		return 0, err
	}
	for _, s := range list {
		what, err := e.astray(ctx, storage, s)
		if err != nil {
			return bad, err
		}
		if what != "" {
			bad++
			e.reportAction(Problem, fmt.Sprintf("%q on %q %s: events that it has read were lost, as in a failover to a standby that lagged", s.Name, s.Stream, what),
				"verify the store, compare what the reader has done with it, then reset the reader", Reset)
		}
	}
	return bad, nil
}

// astray returns how a subscription has read what the store does not have, or "".
func (e *examination) astray(ctx context.Context, storage store.SubscriptionStorage, s store.SubscriptionInfo) (string, error) {
	var end int64
	if s.Stream == store.All {
		head, err := e.d.Backend.Head(ctx)
		if err != nil {
			return "", err
		}
		end = head
	} else {
		infos, err := storage.StreamVersions(ctx, []string{s.Stream})
		if err != nil {
			return "", err
		}
		info, exists := infos[s.Stream]
		if !exists || info.ID != s.StreamID || info.Status() == store.Deleted {
			return "", nil // another stream, which it reads from its beginning
		}
		end = info.Version
	}
	switch {
	case max(s.Checkpoint, s.Seen.Number) > end:
		return fmt.Sprintf("has read up to %d, but the stream ends at %d", max(s.Checkpoint, s.Seen.Number), end), nil
	case s.Seen.IsZero():
		return "", nil
	}
	page, _, err := storage.ReadFiltered(ctx, store.ReadRequest{Stream: s.Stream, From: s.Seen.Number, Limit: 1}, store.EventFilter{})
	if err != nil || len(page) == 0 || page[0].Number != s.Seen.Number || page[0].ID == s.Seen.ID { // without an event it was hard deleted
		return "", err
	}
	return fmt.Sprintf("has read event %s at %d, where event %s is", s.Seen.ID, s.Seen.Number, page[0].ID), nil
}
