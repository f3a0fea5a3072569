package memory

import (
	"bytes"
	"context"
	"math"

	"github.com/eventstore-go/eventstore/store"
)

// Append implements [store.Storage].
func (b *Backend) Append(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return store.AppendResult{}, err
	}
	if first, ok := b.retry(r); ok {
		return store.AppendResult{Stream: r.Stream, First: first, Last: first + int64(len(r.Events)) - 1, Retried: true}, nil
	}
	if err := r.Expected.Judge(r.Stream, b.state(r.Stream)); err != nil {
		return store.AppendResult{}, err
	}
	for _, e := range r.Events {
		if _, there := b.events[e.ID]; there {
			return store.AppendResult{}, &store.DuplicateEventError{Stream: r.Stream, ID: e.ID}
		}
	}
	return b.write(r), nil
}

// retry returns the version of the first event if r is a retry of an append that succeeded. The caller holds b.mu.
func (b *Backend) retry(r store.AppendRequest) (first int64, ok bool) {
	e, there := b.events[r.Events[0].ID]
	if !there {
		return 0, false
	}
	a := e.append
	if a.stream != b.streams[r.Stream] || a.stream.info.Status() == store.Deleted ||
		a.last-a.first+1 != int64(len(r.Events)) || !r.MayBeRetry(a.first) {
		return 0, false
	}
	for i, n := range r.Events {
		e, there := b.events[n.ID]
		if !there || e.append != a || e.recorded.Version != a.first+int64(i) {
			return 0, false
		}
	}
	return a.first, true
}

// write stores the events of r, which was judged. The caller holds b.mu.
func (b *Backend) write(r store.AppendRequest) store.AppendResult {
	at := now()
	created := at
	if t := r.Events[0].CreatedAt; !t.IsZero() {
		created = t
	}
	s := b.open(r.Stream, created)
	a := &appended{stream: s, first: s.info.Version + 1, last: s.info.Version + int64(len(r.Events))}
	for _, n := range r.Events {
		e := &event{origin: s, append: a, recorded: store.Recorded{
			Number: int64(len(b.all)) + 1, Stream: r.Stream, Version: s.info.Version + 1,
			ID: n.ID, Type: n.Type, ContentType: n.ContentType, CausationID: n.CausationID, CorrelationID: n.CorrelationID,
			Data: bytes.Clone(n.Data), Metadata: bytes.Clone(n.Metadata), CreatedAt: n.CreatedAt,
		}}
		if n.CreatedAt.IsZero() {
			e.recorded.CreatedAt = at
		}
		s.add(e, at)
		b.events[n.ID] = e
		b.all = append(b.all, e)
		b.times = append(b.times, max(at.UnixMicro(), b.lastTime()))
	}
	return store.AppendResult{Stream: r.Stream, First: a.first, Last: a.last}
}

// lastTime returns when the last position was given. The caller holds b.mu.
func (b *Backend) lastTime() int64 {
	if len(b.times) == 0 {
		return math.MinInt64
	}
	return b.times[len(b.times)-1]
}
