package store

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/google/uuid"
)

// Append adds events at the end of a stream, all or none, if the stream is as expected. The stream is created if it is
// absent and expected may be. When Append returns without an error, the events are durable (on a Store made by WithTx:
// once the transaction is committed).
//
// Errors: [ErrInvalid] (nothing was sent), [ErrWrongExpectedVersion], [ErrStreamDeleted], [ErrDuplicateEvent],
// [ErrRetryTx], or the database's. Appending again with the same ids is a retry if it is the very same append: it
// succeeds and returns the first result, with Retried set. So give ids when a retry may follow.
//
// A retry has the ids of one earlier append to the stream, all of them, in the same order, and events of the same types with the
// same data. Otherwise it is a [DuplicateEventError], which names what differs. Data are compared as values, so that an encoding
// may differ from try to try. Metadata, causation, correlation and CreatedAt are not compared: they may describe the try.
// What was recorded stays.
//
// If ctx ends while the append is under way, the error is ctx's and nothing is written, unless the commit was already
// on its way: then the events may be there, and a retry with the same ids tells. The same holds for an error of the
// connection. An error that refuses the append, such as [ErrWrongExpectedVersion], always means that nothing was written.
func (s *Store) Append(ctx context.Context, stream string, expected Expected, events ...Event) (AppendResult, error) {
	ctx, end := s.observe(ctx, Operation{Kind: OpAppend, Stream: stream, Count: len(events)})
	res, err := s.append(ctx, stream, expected, events)
	end(Outcome{Err: err, Count: res.count(), Retried: res.Retried})
	return res, err
}

func (s *Store) append(ctx context.Context, stream string, expected Expected, events []Event) (AppendResult, error) {
	if err := s.usable(ctx); err != nil {
		return AppendResult{}, err
	}
	r, err := s.appendRequest(ctx, stream, expected, events)
	if err != nil {
		return AppendResult{}, err
	}
	res, err := s.appendOrRetry(ctx, r)
	if err != nil {
		return AppendResult{}, err
	}
	s.committed()
	res.IDs = r.ids()
	return res, nil
}

func (s *Store) appendRequest(ctx context.Context, stream string, expected Expected, events []Event) (AppendRequest, error) {
	r := AppendRequest{Stream: stream, Expected: expected, FreshIDs: s.newID == nil}
	if err := checkWrite(stream, expected, len(events)); err != nil {
		return r, err
	}
	why, caused := ctx.Value(causeKey{}).(cause)
	var h *headers
	if s.observer != nil {
		h = newHeaders(s.observer.Headers(ctx))
	}
	r.Events = make([]NewEvent, len(events))
	for i := range events {
		if events[i].ID != uuid.Nil {
			r.FreshIDs = false
		}
		if err := s.newEvent(&events[i], &r.Events[i], h); err != nil {
			return r, inEvent(err, i)
		}
		if caused {
			r.Events[i].inherit(why)
		}
	}
	if r.FreshIDs {
		return r, nil
	}
	seen := make(map[uuid.UUID]struct{}, len(r.Events))
	for _, e := range r.Events {
		if _, twice := seen[e.ID]; twice {
			return r, &DuplicateEventError{Stream: stream, ID: e.ID}
		}
		seen[e.ID] = struct{}{}
	}
	return r, nil
}

// newEvent fills in n from e, with defaults and headers, encoded and checked.
func (s *Store) newEvent(e *Event, n *NewEvent, h *headers) error {
	*n = NewEvent{ID: e.ID, Type: e.Type, CausationID: e.CausationID, CorrelationID: e.CorrelationID}
	if n.ID == uuid.Nil {
		id, err := s.drawID()
		if err != nil {
			return err
		}
		n.ID = id
	}
	if namer, ok := s.codec.data.(TypeNamer); ok && n.Type == "" {
		n.Type, _ = namer.TypeName(e.Data)
	}
	if n.Type == "" {
		return &InvalidError{Field: "type", Reason: s.noType(e.Data)}
	}
	if err := checkType(n.Type); err != nil {
		return err
	}
	if checker, ok := s.codec.data.(TypeChecker); ok {
		if err := checker.CheckData(n.Type, e.Data); err != nil {
			return &InvalidError{Field: "data", Reason: err.Error(), Err: err}
		}
	}
	var err error
	var contentType, metadataType string
	if n.Data, contentType, err = s.codec.data.Encode(n.Type, e.Data); err != nil {
		return &InvalidError{Field: "data", Reason: "can't be encoded: " + err.Error(), Err: err}
	}
	if err := checkContentType("data", contentType); err != nil {
		return err
	}
	if n.Data == nil {
		n.Data = []byte{}
	}
	if len(n.Data) > MaxData {
		return &InvalidError{Field: "data", Reason: fmt.Sprintf("is %d bytes long when encoded, at most %d are allowed", len(n.Data), MaxData)}
	}
	if e.Metadata != nil {
		if n.Metadata, metadataType, err = s.codec.metadata.Encode(n.Type, e.Metadata); err != nil {
			return &InvalidError{Field: "metadata", Reason: "can't be encoded: " + err.Error(), Err: err}
		}
		if err := checkContentType("metadata", metadataType); err != nil {
			return err
		}
		if len(n.Metadata) > MaxMetadata {
			return &InvalidError{Field: "metadata", Reason: fmt.Sprintf("is %d bytes long when encoded, at most %d are allowed", len(n.Metadata), MaxMetadata)}
		}
	}
	if h != nil {
		metadataType = h.stamp(s.codec.metadata, n, e.Metadata, metadataType)
	}
	n.ContentType = joinContentTypes(contentType, metadataType)
	createdAt := e.CreatedAt
	if createdAt.IsZero() && s.now != nil {
		createdAt = s.now()
	}
	if !createdAt.IsZero() {
		n.CreatedAt = createdAt.UTC().Truncate(time.Microsecond)
		if y := n.CreatedAt.Year(); y < 1 || y > 9999 {
			return &InvalidError{Field: "created_at", Reason: fmt.Sprintf("is in the year %d, from 1 to 9999 are allowed", y)}
		}
	}
	return nil
}

// drawID returns the id of an event that was given none.
func (s *Store) drawID() (uuid.UUID, error) {
	draw := s.newID
	if draw == nil {
		draw = uuid.NewV7
	}
	id, err := draw()
	if err != nil {
		return id, fmt.Errorf("store: draw an event id: %w", err)
	}
	if id == uuid.Nil {
		return id, &InvalidError{Field: "id", Reason: "is the zero UUID: Options.NewID returned it"}
	}
	return id, nil
}

// noType says why an event has no type, and what to do about it.
func (s *Store) noType(data any) string {
	typ := reflect.TypeOf(data)
	if typ == nil {
		return "is empty; set Type"
	}
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	return fmt.Sprintf("is empty, and the Store's serializer has no name for a %s; set Type, or name the Go type by serializer.Register[%s]", typ, typ)
}
