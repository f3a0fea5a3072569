package main

import (
	"cmp"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/store"
)

// commit is the data of an event. Bytes that are not UTF-8, as names of files may have, become U+FFFD.
type commit struct {
	Hash    string    `json:"hash"`
	Parents []string  `json:"parents,omitempty"`
	Name    string    `json:"name"`
	Email   string    `json:"email"`
	Time    time.Time `json:"time"` // when it was authored
	Subject string    `json:"subject"`
	Files   []file    `json:"files,omitempty"` // none for a merge
}

// file is a file that a commit changed.
type file struct {
	Path    string `json:"path"`
	From    string `json:"from,omitempty"` // its path before, if it was renamed
	Added   int    `json:"added"`          // lines
	Deleted int    `json:"deleted"`
	Binary  bool   `json:"binary,omitempty"` // then there are no lines to count
}

// types has the types of the events.
var types = serializer.NewTypes()

func init() { serializer.Register[commit](types, "commit.authored") }

// streamPrefix comes before the author in the name of a stream.
const streamPrefix = "author-"

// stream is the stream that the commit goes to: its author's, known by email address.
func (c commit) stream() string {
	author := strings.ToLower(cmp.Or(c.Email, c.Name, "unknown"))
	name := streamPrefix + strings.ToValidUTF8(author, "\uFFFD")
	if len(name) > store.MaxStreamName {
		name = strings.ToValidUTF8(name[:store.MaxStreamName], "")
	}
	return name
}

// event is the commit as an event. Its id follows from the commit's, so that a commit is stored once.
func (c commit) event() store.Event {
	e := store.Event{ID: eventID(c.Hash), Data: c, CreatedAt: c.Time}
	if len(c.Parents) > 0 {
		e.CausationID = eventID(c.Parents[0])
	}
	return e
}

// namespace is the one that ids of commits are drawn from.
var namespace = uuid.MustParse("5f1a7c9e-3c0b-4c53-9a39-6b1d0e6d7a11")

func eventID(hash string) uuid.UUID { return uuid.NewSHA1(namespace, []byte(hash)) }

// key is a row of the table: an author and a month, as in 2026-03, in UTC.
type key struct{ author, month string }

func keyOf(stream string, at time.Time) key {
	return key{strings.TrimPrefix(stream, streamPrefix), at.UTC().Format("2006-01")}
}
