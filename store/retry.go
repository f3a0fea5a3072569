package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
)

// mostRetries bounds how often an append is sent again because its stream was deleted between the answer and the comparison.
const mostRetries = 10

// appendOrRetry sends r. If r repeats an earlier append, it compares the events with those that are there.
func (s *Store) appendOrRetry(ctx context.Context, r AppendRequest) (AppendResult, error) {
	for range mostRetries {
		res, err := s.storage.Append(ctx, r)
		if err != nil {
			return AppendResult{}, err
		}
		if !res.Retried || r.FreshIDs { // ids drawn for this append can only stand for its own events
			return res, nil
		}
		there, err := s.compareRetry(ctx, r, res)
		if err != nil {
			return AppendResult{}, err
		}
		if there {
			return res, nil
		}
	}
	return AppendResult{}, fmt.Errorf("store: append to %q: %w: the stream kept changing", r.Stream, ErrRetryTx)
}

// compareRetry reports whether the events of an earlier append are still there. It returns a [DuplicateEventError] if one has
// other content than r gives it.
func (s *Store) compareRetry(ctx context.Context, r AppendRequest, res AppendResult) (there bool, err error) {
	for left := r.Events; len(left) > 0; {
		from := res.Last - int64(len(left)) + 1
		part, err := s.storage.ReadStream(ctx, ReadRequest{Stream: r.Stream, From: from, Limit: min(len(left), DefaultPageSize), Bytes: s.bytes})
		page := part.Events
		if errors.Is(err, ErrStreamNotFound) || errors.Is(err, ErrStreamDeleted) || err == nil && len(page) == 0 {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		for i := range min(len(page), len(left)) {
			if page[i].ID != left[i].ID {
				return false, nil
			}
			if differs := s.codec.differs(&page[i], &left[i]); differs != "" {
				return false, &DuplicateEventError{Stream: r.Stream, ID: left[i].ID, Differs: differs}
			}
		}
		left = left[min(len(page), len(left)):]
	}
	return true, nil
}

// differs returns what a retry of an event gives otherwise than recorded: "type", "data", or nothing. Metadata, causation,
// correlation and creation time are not compared: they may describe the try, as trace headers do.
func (c *codec) differs(recorded *Recorded, n *NewEvent) string {
	if recorded.Type != n.Type {
		return "type"
	}
	if !c.sameData(recorded, &Recorded{ID: n.ID, Type: n.Type, ContentType: n.ContentType, Data: n.Data}) {
		return "data"
	}
	return ""
}

// sameData reports whether the data of two events of a type are encodings of the same value. They need not be the same bytes:
// jsonb keeps the value, maps have no order, encryption draws a nonce, and a new version of the program may encode otherwise.
func (c *codec) sameData(a, b *Recorded) bool {
	typeA, _ := contentTypes(a.ContentType)
	typeB, _ := contentTypes(b.ContentType)
	if typeA == typeB && bytes.Equal(a.Data, b.Data) {
		return true
	}
	plainTypeA, plainA, errA := c.open(a.Type, typeA, a.Data)
	plainTypeB, plainB, errB := c.open(b.Type, typeB, b.Data)
	if errA == nil && errB == nil && plainTypeA == plainTypeB {
		if bytes.Equal(plainA, plainB) {
			return true
		}
		if IsJSON(plainTypeA) {
			return sameJSON(plainA, plainB)
		}
	}
	a.codec, b.codec = c, c
	valuesA, errA := a.Values()
	valuesB, errB := b.Values()
	if errA == nil && errB == nil {
		return reflect.DeepEqual(valuesA, valuesB)
	}
	// The serializer makes no value of it. The order of a map, or a nonce, does not change the length.
	return typeA == typeB && len(a.Data) == len(b.Data)
}

// open returns data without its wrapping, if the serializer can open that.
func (c *codec) open(eventType, contentType string, data []byte) (plainType string, plain []byte, err error) {
	if opener, ok := c.data.(Opener); ok {
		return opener.Open(eventType, contentType, data)
	}
	return contentType, data, nil
}
