package transfer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/verify"
	"github.com/eventstore-go/eventstore/store"
)

var kinds = []database.Kind{database.PostgreSQL, database.SQLite}

// shop is a store with some of everything.
type shop struct {
	testing.TB
	*store.Store
	d *database.Database
}

func open(tb testing.TB, d *database.Database) *shop {
	es := store.New(d.Backend, &store.Options{HardDelete: true})
	tb.Cleanup(func() { require.NoError(tb, es.Close()) })
	return &shop{tb, es, d}
}

func (s *shop) append(stream string, n int) (ids []uuid.UUID) {
	s.Helper()
	var list []store.Event
	for i := range n {
		e := store.Event{ID: uuid.New(), Type: "counted", Data: json.RawMessage(fmt.Sprintf(`{"n":%d,"of":%q}`, i, stream))}
		if i%2 == 1 {
			e.Metadata = json.RawMessage(`null`)
			e.CausationID, e.CorrelationID = uuid.New(), uuid.New()
		}
		list = append(list, e)
		ids = append(ids, e.ID)
	}
	_, err := s.Append(s.Context(), stream, store.Any, list...)
	require.NoError(s, err)
	return ids
}

// raw appends data as it is, with its content type.
func (s *shop) raw(stream, contentType string, data, metadata []byte) {
	s.Helper()
	_, err := s.d.Backend.Append(s.Context(), store.AppendRequest{Stream: stream, Expected: store.Any, Events: []store.NewEvent{
		{ID: uuid.New(), Type: "raw", ContentType: contentType, Data: data, Metadata: metadata, CreatedAt: time.UnixMicro(-1).UTC()},
	}})
	require.NoError(s, err)
}

func (s *shop) fill() {
	s.Helper()
	a := s.append("a", 3)
	s.append("b, with \"quotes\" <&> \u2028 und Ümläuten }", 1)
	s.append("lost", 5) // a gap in the order
	for i := range 20 {
		s.append(fmt.Sprint("s", i%3), 1+i%4)
	}
	s.raw("bytes", "msgpack", []byte{0x93, 1, 2, 0xff}, nil)
	s.raw("bytes", "", []byte("{\"spaces\" :\t[ 1,2 ] }"), []byte(`{"a":"\u00e9 é"}`))
	s.raw("bytes", "", []byte("{\n  \"lines\": true\n}"), []byte{})
	s.raw("bytes", "", []byte(" 1"), []byte("null"))
	s.raw("bytes", "text", []byte("}"), nil)
	ctx := s.Context()
	_, err := s.Link(ctx, "links", store.Any, a[2], a[0])
	require.NoError(s, err)
	s.append("links", 1)
	_, err = s.Link(ctx, "links", store.Any, a[1])
	require.NoError(s, err)
	_, err = s.Link(ctx, "only-links", store.Any, a...)
	require.NoError(s, err)
	s.append("soft", 2)
	require.NoError(s, s.Delete(ctx, "soft", store.Any, store.SoftDelete))
	require.NoError(s, s.RecordSnapshot(ctx, store.Snapshot{SourceID: "a", Version: 3, Type: "sum", Data: 3}))
	s.consume("a", 2)
	s.consume(store.All, 4)
	s.append("last", 2)
	for _, stream := range []string{"lost", "last"} {
		require.NoError(s, s.Delete(ctx, stream, store.Any, store.HardDelete))
	}
}

// consume makes a subscription that has come to a number.
func (s *shop) consume(stream string, number int64) {
	s.Helper()
	ctx, stop := context.WithCancel(s.Context())
	defer stop()
	err := s.Consume(ctx, stream, "reader", func(_ context.Context, e store.Recorded) error {
		if e.Number == number {
			stop()
		}
		return nil
	}, nil)
	require.ErrorIs(s, err, context.Canceled)
}

// sound checks that a store is not damaged.
func sound(tb testing.TB, d *database.Database) {
	tb.Helper()
	_, err := verify.Run(tb.Context(), d, func(v verify.Violation) error {
		tb.Errorf("%s: %s", v.Check, v.What)
		return nil
	})
	require.NoError(tb, err)
}

// archived returns all lines of an archive of the store but the first and the last, and the number of lines.
func archived(tb testing.TB, d *database.Database) (lines []string, head int64) {
	tb.Helper()
	return archivedStreams(tb, d)
}

// archivedStreams is archived of chosen streams.
func archivedStreams(tb testing.TB, d *database.Database, streams ...string) (lines []string, head int64) {
	tb.Helper()
	var b bytes.Buffer
	w, err := archive.NewWriter(&b, false)
	require.NoError(tb, err)
	from, err := transfer.Source(d, streams...)
	require.NoError(tb, err)
	_, err = transfer.ExportTo(tb.Context(), from, w, transfer.ExportOptions{})
	require.NoError(tb, err)
	r, err := archive.NewReader(bytes.NewReader(b.Bytes()))
	require.NoError(tb, err)
	all := bytes.Split(bytes.TrimSpace(b.Bytes()), []byte("\n"))
	for _, line := range all[1 : len(all)-1] {
		lines = append(lines, string(line))
	}
	return lines, r.Header.Head
}
