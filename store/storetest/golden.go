package storetest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

var updateFlag = flag.Bool("storetest.update", false, "write the files that storetest.Golden compares with")

// HistoryOptions say what [History] and [Golden] show of events, besides their streams, versions, types, data and metadata, and which of
// them caused or belongs with which. The zero value of each field is its default.
type HistoryOptions struct {
	// IDs shows ids as they are, for tests that fix them by [IDs]. Default: an id is shown by the place of its event, as "#2", and one that is
	// of no event as "id-1", in the order in which they come.
	IDs bool
	// Times shows when events were created, for tests that fix that by [Clock]. Default: not shown.
	Times bool
}

// History returns the events of a stream, or of [store.All], as text that people can read and compare: a block for each event, in order.
//
//	#1 order-17@1 order.placed
//	  {"cents":1200,"customer":"ada"}
//	#2 order-17@2 order.paid
//	  {"cents":1200}
//	  caused by #1
//
// Data are shown as JSON, with sorted keys. Where they are stored in another way, the Store's serializer decodes them first; bytes that it
// can't decode are shown in hex. A stream that does not exist has no events. opts may be nil.
func History(tb testing.TB, es *store.Store, stream string, opts *HistoryOptions) string {
	tb.Helper()
	text, err := history(tb.Context(), es, stream, opts)
	if err != nil {
		tb.Fatalf("storetest: read the history of %q: %v", stream, err)
	}
	return text
}

// Golden fails the test if the [History] of a stream, or of [store.All], is not what the file holds. With the flag -storetest.update, or
// with a flag -update that the test package defines, it writes the file instead:
//
//	go test ./orders -run TestOrderHistory -storetest.update
//
// The path is relative to the folder of the test package: "testdata/order.golden". Folders that are missing are made.
func Golden(tb testing.TB, es *store.Store, stream, file string, opts *HistoryOptions) {
	tb.Helper()
	got := History(tb, es, stream, opts)
	if updates() {
		err := os.MkdirAll(filepath.Dir(file), 0o755) //nolint:gosec // a folder of the sources
		if err == nil {
			err = os.WriteFile(file, []byte(got), 0o644) //nolint:gosec // a file of the sources
		}
		if err != nil {
			tb.Fatalf("storetest: write %s: %v", file, err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		tb.Fatalf("storetest: %s does not exist; run the test with -storetest.update to write it", file)
	}
	if err != nil {
		tb.Fatalf("storetest: read %s: %v", file, err)
	}
	if d := diff(strings.ReplaceAll(string(want), "\r\n", "\n"), got); d != "" {
		tb.Fatalf("storetest: the history of %q is not that of %s (- file, + store); if it should change, run the test with -storetest.update:\n%s", stream, file, indent(d))
	}
}

// updates reports whether golden files are to be written.
func updates() bool {
	if *updateFlag {
		return true
	}
	f := flag.Lookup("update")
	if f == nil {
		return false
	}
	g, ok := f.Value.(flag.Getter)
	if !ok {
		return false
	}
	on, _ := g.Get().(bool)
	return on
}

func history(ctx context.Context, es *store.Store, stream string, opts *HistoryOptions) (string, error) {
	var o HistoryOptions
	if opts != nil {
		o = *opts
	}
	var events []store.Recorded
	for e, err := range es.Primary().Stream(ctx, stream, nil) {
		if errors.Is(err, store.ErrStreamNotFound) {
			break
		}
		if err != nil {
			return "", err
		}
		events = append(events, e)
	}
	places := map[uuid.UUID]string{uuid.Nil: ""}
	for i, e := range events {
		places[e.ID] = fmt.Sprintf("#%d", i+1)
	}
	strangers := 0
	name := func(id uuid.UUID) string {
		if o.IDs {
			return id.String()
		}
		place, known := places[id]
		if !known {
			strangers++
			place = fmt.Sprintf("id-%d", strangers)
			places[id] = place
		}
		return place
	}
	var b strings.Builder
	for i, e := range events {
		fmt.Fprintf(&b, "#%d %s@%d %s\n", i+1, e.Stream, e.Version, e.Type)
		if o.IDs {
			fmt.Fprintf(&b, "  id %s\n", e.ID)
		}
		if o.Times {
			fmt.Fprintf(&b, "  at %s\n", e.CreatedAt.Format(time.RFC3339Nano))
		}
		if data := dataOf(e); data != "" {
			b.WriteString(indent(data) + "\n")
		}
		if metadata := metadataOf(e); metadata != "" {
			b.WriteString(indent("metadata "+metadata) + "\n")
		}
		if e.CausationID != uuid.Nil {
			fmt.Fprintf(&b, "  caused by %s\n", name(e.CausationID))
		}
		if e.CorrelationID != uuid.Nil {
			fmt.Fprintf(&b, "  correlation %s\n", name(e.CorrelationID))
		}
	}
	return b.String(), nil
}

// dataOf returns the data of an event as text.
func dataOf(e store.Recorded) string {
	data, _, _ := strings.Cut(e.ContentType, ",")
	if store.IsJSON(data) {
		return textOf(e.Data)
	}
	if values, err := e.Values(); err == nil {
		texts := make([]string, len(values))
		for i, v := range values {
			texts[i] = jsonOf(v)
		}
		return strings.Join(texts, "\n")
	}
	return textOf(e.Data)
}

// metadataOf returns the metadata of an event as text, "" if there are none.
func metadataOf(e store.Recorded) string {
	_, metadata, _ := strings.Cut(e.ContentType, ",")
	if store.IsJSON(metadata) {
		return textOf(e.Metadata)
	}
	var v any
	if e.Metadata != nil && e.DecodeMetadata(&v) == nil {
		return jsonOf(v)
	}
	return textOf(e.Metadata)
}
