package postgres

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

// A statement carries at most this much of an append; a larger one takes several, in one transaction.
const (
	maxChunkEvents = 5_000
	maxChunkBytes  = 16 << 20
)

// chunk returns how many of events go into the next statement: at least one.
func chunk(events []store.NewEvent) int {
	size := 0
	for i := range events {
		size += len(events[i].Data) + len(events[i].Metadata)
		if i > 0 && (i == maxChunkEvents || size > maxChunkBytes) {
			return i
		}
	}
	return len(events)
}

// batch is how events travel: one value per column, cut up on the server. That takes plain types which every driver
// has, and is as fast as a driver's own arrays.
type batch struct {
	ids, causation, correlation []byte
	types                       string // text array of two rows: the distinct pairs of type and content type
	data, metadata              []byte
	cuts                        string // int array of five rows, or seven: see the functions append and append_group
	created                     string // bigint array
}

func newBatch(events []store.NewEvent) batch {
	w := newBatchWriter(events)
	w.add(events, 0)
	return w.batch(5)
}

// batchWriter makes a batch of the events of one append, or of several.
type batchWriter struct {
	b                                        batch
	types                                    typeIndex
	cuts                                     [7][]byte // type, start and length of data, start and length of metadata, append, place in it
	created                                  []byte
	hasCreated, hasCausation, hasCorrelation bool
}

// newBatchWriter returns a writer for the events of these appends.
func newBatchWriter(appends ...[]store.NewEvent) *batchWriter {
	w := &batchWriter{}
	n, size, metaSize := 0, 0, 0
	for _, events := range appends {
		n += len(events)
		for i := range events {
			e := &events[i]
			size += len(e.Data)
			metaSize += len(e.Metadata)
			w.hasCreated = w.hasCreated || !e.CreatedAt.IsZero()
			w.hasCausation = w.hasCausation || e.CausationID != uuid.Nil
			w.hasCorrelation = w.hasCorrelation || e.CorrelationID != uuid.Nil
		}
	}
	w.b.ids = make([]byte, 0, 16*n)
	w.b.data = make([]byte, 0, size)
	w.b.metadata = make([]byte, 0, metaSize)
	return w
}

// add adds the events of an append, the nr-th from 1.
func (w *batchWriter) add(events []store.NewEvent, nr int) {
	b := &w.b
	for i := range events {
		e := &events[i]
		b.ids = append(b.ids, e.ID[:]...)
		if w.hasCausation {
			b.causation = append(b.causation, e.CausationID[:]...)
		}
		if w.hasCorrelation {
			b.correlation = append(b.correlation, e.CorrelationID[:]...)
		}
		if w.hasCreated {
			w.created = appendCreated(w.created, e.CreatedAt)
		}
		metaLen := len(e.Metadata)
		if e.Metadata == nil {
			metaLen = -1
		}
		for row, n := range [7]int{w.types.of(typePair{e.Type, e.ContentType}), len(b.data) + 1, len(e.Data), len(b.metadata) + 1, metaLen, nr, i} {
			w.cuts[row] = appendInt(w.cuts[row], int64(n))
		}
		b.data = append(b.data, e.Data...)
		b.metadata = append(b.metadata, e.Metadata...)
	}
}

// batch returns the batch, with so many rows of cuts.
func (w *batchWriter) batch(rows int) batch {
	w.b.types = w.types.array()
	w.b.cuts = "{" + string(bytes.Join(w.cuts[:rows], []byte("},"))) + "}}"
	if w.hasCreated {
		w.b.created = string(append(w.created, '}'))
	}
	return w.b
}

// appendInt appends n to a row of an array literal.
func appendInt(row []byte, n int64) []byte {
	if row == nil {
		row = append(row, '{')
	} else {
		row = append(row, ',')
	}
	return strconv.AppendInt(row, n, 10)
}

// dbClock stands in an array for a creation time that the database's clock gives: there it is null. Array literals hold no null,
// which is the text "null" to a session with array_nulls = off.
const dbClock = "-9223372036854775808"

// appendCreated appends microseconds since 1970, or dbClock, to an array literal.
func appendCreated(row []byte, t time.Time) []byte {
	if t.IsZero() {
		return appendWord(row, dbClock)
	}
	return appendInt(row, t.UnixMicro())
}

// appendWord appends a word that needs no quotes to a row of an array literal.
func appendWord(row []byte, word string) []byte {
	if row == nil {
		row = append(row, '{')
	} else {
		row = append(row, ',')
	}
	return append(row, word...)
}

// typePair is a type, and a content type.
type typePair struct{ event, content string }

// typeIndex numbers the distinct pairs of types of a batch from 1: most batches have few.
type typeIndex struct {
	pairs []typePair
	index map[typePair]int
}

func (t *typeIndex) of(pair typePair) int {
	if n := len(t.pairs); n > 0 && t.pairs[n-1] == pair {
		return n
	}
	if i, ok := t.index[pair]; ok {
		return i
	}
	if t.index == nil {
		t.index = map[typePair]int{}
	}
	t.pairs = append(t.pairs, pair)
	t.index[pair] = len(t.pairs)
	return len(t.pairs)
}

// array is the literal of an array with a row of types and a row of content types, empty where there is none.
func (t *typeIndex) array() string {
	var events, contents strings.Builder
	for i, pair := range t.pairs {
		if i > 0 {
			events.WriteByte(',')
			contents.WriteByte(',')
		}
		writeText(&events, pair.event)
		writeText(&contents, pair.content)
	}
	return "{{" + events.String() + "},{" + contents.String() + "}}"
}

var arrayEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// writeText writes an element of an array literal.
func writeText(out *strings.Builder, text string) {
	out.WriteByte('"')
	arrayEscapes.WriteString(out, text) //nolint:errcheck // a Builder does not fail
	out.WriteByte('"')
}

// textArray is an array literal of texts.
func textArray(texts []string) string {
	var out strings.Builder
	out.WriteByte('{')
	for i, text := range texts {
		if i > 0 {
			out.WriteByte(',')
		}
		writeText(&out, text)
	}
	return out.String() + "}"
}

// intArray is an array literal of numbers.
func intArray(ns []int64) string {
	if len(ns) == 0 {
		return "{}"
	}
	var row []byte
	for _, n := range ns {
		row = appendInt(row, n)
	}
	return string(row) + "}"
}

// idBytes are ids, 16 bytes each.
func idBytes(ids []uuid.UUID) []byte {
	out := make([]byte, 0, 16*len(ids))
	for _, id := range ids {
		out = append(out, id[:]...)
	}
	return out
}

// nullable is nil, which every driver sends as null, for an empty value.
func nullable[T string | []byte](v T) any {
	if len(v) == 0 {
		return nil
	}
	return v
}
