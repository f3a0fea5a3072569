package sqlite

import (
	"context"
	"database/sql"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

// Append implements [store.Storage]. Every write runs in a transaction. database/sql sends no statement of a transaction again,
// so that ids drawn just now are never known.
func (b *Backend) Append(ctx context.Context, r store.AppendRequest) (res store.AppendResult, err error) {
	err = b.write(ctx, func(tx *Backend) error {
		res, err = tx.append(ctx, r)
		return err
	})
	if err != nil {
		return store.AppendResult{}, err
	}
	return res, nil
}

func (b *Backend) append(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
	s, err := b.stream(ctx, r.Stream)
	if err != nil {
		return store.AppendResult{}, err
	}
	var ids []byte
	if !r.FreshIDs {
		ids = idList(len(r.Events), func(i int) uuid.UUID { return r.Events[i].ID })
		res, retried, err := b.retry(ctx, r, s, ids)
		if err != nil || retried {
			return res, err
		}
	}
	if err := r.Expected.Judge(r.Stream, s.state()); err != nil {
		return store.AppendResult{}, err
	}
	if err := b.unknown(ctx, r, ids); err != nil {
		return store.AppendResult{}, err
	}
	return b.insert(ctx, r, s)
}

// unknown returns a [store.DuplicateEventError] if one of the ids of r is in the store.
func (b *Backend) unknown(ctx context.Context, r store.AppendRequest, ids []byte) error {
	if r.FreshIDs {
		return nil
	}
	var i int
	found, err := b.one(ctx, "append_present", []any{ids}, &i)
	if err == nil && found {
		err = &store.DuplicateEventError{Stream: r.Stream, ID: r.Events[i].ID}
	}
	return err
}

// retry returns the first result if r is a retry of an append that succeeded.
func (b *Backend) retry(ctx context.Context, r store.AppendRequest, s stream, ids []byte) (store.AppendResult, bool, error) {
	var id, first int64
	n := int64(len(r.Events))
	found, err := b.one(ctx, "append_retry", []any{r.Events[0].ID[:], ids, n}, &id, &first)
	if err != nil || !found || id != s.info.ID || s.state().Deleted || !r.MayBeRetry(first) {
		return store.AppendResult{}, false, err
	}
	return store.AppendResult{Stream: r.Stream, First: first, Last: first + n - 1, Retried: true}, true, nil
}

// insert writes the events of r, which was judged.
func (b *Backend) insert(ctx context.Context, r store.AppendRequest, s stream) (store.AppendResult, error) {
	at, n := now(), int64(len(r.Events))
	created := at
	if t := r.Events[0].CreatedAt; !t.IsZero() {
		created = t
	}
	first := s.info.Version + 1
	s, err := b.grow(ctx, s, n, created.UnixMicro())
	if err != nil {
		return store.AppendResult{}, err
	}
	var head int64
	var last sql.NullInt64
	if _, err := b.one(ctx, "advance_head", []any{n}, &head, &last); err != nil {
		return store.AppendResult{}, err
	}
	given := max(at.UnixMicro(), last.Int64) // the clock may have been set back
	for i := range r.Events {
		e := &r.Events[i]
		created := at
		var contentType, metadata, recorded any
		if !e.CreatedAt.IsZero() {
			created = e.CreatedAt
		}
		if created.UnixMicro() != given {
			recorded = given
		}
		if e.ContentType != "" {
			contentType = e.ContentType
		}
		if e.Metadata != nil {
			metadata = e.Metadata
		}
		err := b.exec(ctx, "append_event", head-n+1+int64(i), i, s.info.ID, first+int64(i), created.UnixMicro(), e.ID[:],
			nullID(e.CausationID), nullID(e.CorrelationID), e.Type, contentType, e.Data, metadata, recorded)
		if err != nil {
			return store.AppendResult{}, err
		}
	}
	return store.AppendResult{Stream: r.Stream, First: first, Last: s.info.Version}, nil
}

// grow makes room for n more versions in s, which is created if it is absent.
func (b *Backend) grow(ctx context.Context, s stream, n, created int64) (stream, error) {
	s.info.Version += n
	if s.exists {
		return s, b.exec(ctx, "set_version", s.info.ID, s.info.Version)
	}
	_, err := b.one(ctx, "create_stream", []any{s.info.Stream, s.info.Version, created}, &s.info.ID)
	return s, err
}

// idList is n ids, 16 bytes each: a list that every driver can send.
func idList(n int, id func(i int) uuid.UUID) []byte {
	out := make([]byte, 0, n*16)
	for i := range n {
		id := id(i)
		out = append(out, id[:]...)
	}
	return out
}
