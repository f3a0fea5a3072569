package commandedtest

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/google/uuid"
)

// Writer writes to a store at random, of all kinds of writes, as programs would that use the library: a stream that was soft deleted
// is left alone. The same seed gives the same writes. It is for one goroutine.
type Writer struct {
	Store *Store

	r       *rand.Rand
	ids     []uuid.UUID // of events that may be linked to
	deleted map[string]bool
}

// NewWriter returns a Writer.
func NewWriter(s *Store, seed uint64) *Writer {
	return &Writer{Store: s, r: rand.New(rand.NewPCG(seed, 17)), deleted: map[string]bool{}}
}

// Write does one write.
func (w *Writer) Write(ctx context.Context) error {
	own, links := fmt.Sprintf("own-%d", w.r.IntN(12)), fmt.Sprintf("links-%d", w.r.IntN(6))
	switch n := w.r.IntN(100); {
	case n < 50:
		return w.append(ctx, own)
	case n < 70:
		return w.link(ctx, links)
	case n < 74: // own events between links
		return w.append(ctx, links)
	case n < 76:
		return w.delete(ctx, own, w.Store.SoftDelete)
	case n < 81:
		return w.delete(ctx, own, w.Store.HardDelete)
	case n < 83:
		return w.delete(ctx, links, w.Store.HardDelete)
	case n < 90:
		return w.Store.Snapshot(ctx, own, int64(w.r.IntN(5)+1), fmt.Sprintf(`{"n":%d}`, w.r.IntN(1000)))
	case n < 92:
		return w.Store.DeleteSnapshot(ctx, own)
	case n < 98:
		return w.Store.Acknowledge(ctx, "$all", fmt.Sprintf("reader-%d", w.r.IntN(3)), int64(w.r.IntN(50)))
	default:
		return w.Store.DeleteSubscription(ctx, "$all", fmt.Sprintf("reader-%d", w.r.IntN(3)))
	}
}

func (w *Writer) append(ctx context.Context, stream string) error {
	if w.deleted[stream] {
		return nil
	}
	ids := make([]uuid.UUID, w.r.IntN(5)+1)
	for i := range ids {
		ids[i] = uuid.New()
	}
	w.ids = append(w.ids, ids...)
	return w.Store.Append(ctx, stream, ids...)
}

// link links to some events, which may be gone, or in the stream already: then there is no link.
func (w *Writer) link(ctx context.Context, stream string) error {
	if len(w.ids) == 0 {
		return nil
	}
	id := w.ids[w.r.IntN(len(w.ids))]
	var there bool
	const query = `select exists (select from %[1]s.stream_events v join %[1]s.streams s using (stream_id) where s.stream_uuid = $1 and v.event_id = $2)`
	if err := w.Store.QueryRowContext(ctx, fmt.Sprintf(query, w.Store.quoted()), stream, id).Scan(&there); err != nil || there {
		return err
	}
	return w.Store.Link(ctx, stream, id)
}

func (w *Writer) delete(ctx context.Context, stream string, how func(context.Context, string) error) error {
	if w.deleted[stream] {
		return nil
	}
	err := how(ctx, stream)
	var soft bool
	const query = `select exists (select from %s.streams where stream_uuid = $1 and deleted_at is not null)`
	if err == nil {
		err = w.Store.QueryRowContext(ctx, fmt.Sprintf(query, w.Store.quoted()), stream).Scan(&soft)
	}
	w.deleted[stream] = soft
	return err
}
