package history

import (
	"slices"
	"sync"
)

// History is what happened to a store from its beginning.
type History struct {
	Writes []Write
	// Pages are those of each reader in the order it read them, in any order among readers.
	Pages []Page
	// Final is all that the store holds in the end, in the order of positions, and Head its last position.
	Final []Seen
	Head  int64
	// Streams are all streams as they read in the end.
	Streams map[string][]Entry
	// Lossy says that writes were acknowledged before they were durable, and the server crashed. An event that was
	// seen may still not be lost.
	Lossy bool
}

// Kind is what a write did.
type Kind string

// Kinds of writes.
const (
	Append Kind = "append"
	Link   Kind = "link"
	Delete Kind = "delete" // hard
)

// Outcome is what the writer knows of a write.
type Outcome string

// Outcomes of a write.
const (
	Committed Outcome = "committed" // acknowledged
	Refused   Outcome = "refused"   // it has not happened: refused, or rolled back
	Unknown   Outcome = "unknown"   // it may have happened, or may still
)

// Write is an append, link or delete, with all its retries.
type Write struct {
	Kind    Kind
	Stream  string
	IDs     []string // of the events, in order; none for a delete
	First   int64    // the version that the first one got, 0 if not known
	Began   int64    // the clock before the first try
	Ended   int64    // the clock after the acknowledgement, 0 if there was none
	Outcome Outcome
}

// happened reports whether the write may have happened.
func (w *Write) happened() bool { return w.Outcome != Refused }

// Page is one page of all events, as a reader got it that pages forward from the beginning.
type Page struct {
	Reader string
	After  int64 // the last position the reader had seen
	Began  int64
	Ended  int64
	End    bool // whether there was no more
	Events []Seen
}

// last is the position up to which the reader has now read.
func (p *Page) last() int64 {
	if len(p.Events) == 0 {
		return p.After
	}
	return p.Events[len(p.Events)-1].Position
}

// Seen is an event as read from all events.
type Seen struct {
	Position int64  `json:"p"`
	ID       string `json:"i"`
	Stream   string `json:"s"`
	Version  int64  `json:"v"`
}

// Entry is an event as read from a stream.
type Entry struct {
	Number int64
	ID     string
}

// Merge adds what other has of writes and pages.
func (h *History) Merge(other History) {
	h.Writes = append(h.Writes, other.Writes...)
	h.Pages = append(h.Pages, other.Pages...)
}

// Recorder collects a History. It is safe for concurrent use.
type Recorder struct {
	mu sync.Mutex
	h  History
}

// Wrote adds a write. It is called once the outcome is known.
func (r *Recorder) Wrote(writes ...Write) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.h.Writes = append(r.h.Writes, writes...)
}

// Read adds a page.
func (r *Recorder) Read(p Page) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.h.Pages = append(r.h.Pages, p)
}

// History returns what was recorded so far.
func (r *Recorder) History() History {
	r.mu.Lock()
	defer r.mu.Unlock()
	return History{Writes: slices.Clone(r.h.Writes), Pages: slices.Clone(r.h.Pages)}
}
