package postgres

import (
	"context"
	"strconv"
	"strings"

	"github.com/eventstore-go/eventstore/backend/internal/sqlerr"
	"github.com/eventstore-go/eventstore/store"
)

// writeGroup returns the new version of each stream, or 0 where nothing was written; all 0 if nothing was.
func (b *Backend) writeGroup(ctx context.Context, args []any, n int) ([]int64, error) {
	versions := make([]int64, n)
	var text string
	if _, err := b.one(ctx, "append_group", args, &text); err != nil {
		if notWritten(err) {
			return versions, nil
		}
		return nil, err
	}
	for i, word := range strings.Split(strings.Trim(text, "{}"), ",") {
		if word == "NULL" {
			continue
		}
		var err error
		if versions[i], err = strconv.ParseInt(word, 10, 64); err != nil {
			return nil, err
		}
	}
	return versions, nil
}

// notWritten reports whether the server is known to have refused the statement with everything in it. When it goes away
// nobody knows.
func notWritten(err error) bool {
	switch state := sqlerr.State(err); {
	case state == "", strings.HasPrefix(state, "08"), strings.HasPrefix(state, "40003"), strings.HasPrefix(state, "57P"), strings.HasPrefix(state, "58"):
		return false
	}
	return true
}

// groupArgs are the arguments of append_group. They share no memory with the requests.
func groupArgs(requests []store.AppendRequest) []any {
	var look []byte
	events := make([][]store.NewEvent, len(requests))
	for i, r := range requests {
		events[i] = r.Events
		look = appendWord(look, strconv.FormatBool(!r.FreshIDs))
	}
	return appendArgs(requests, string(look)+"}", events)
}

// appendArgs are the arguments of append_group and append_all: what each append asks for, and the given ones of its events.
func appendArgs(requests []store.AppendRequest, look any, events [][]store.NewEvent) []any {
	var expected, create, begun, totals []byte
	names := make([]string, len(requests))
	hasBegun := false
	for i, r := range requests {
		names[i] = r.Stream
		version := int64(-1) // any: there are no nulls in array literals, see dbClock
		if v, ok := r.Expected.AsVersion(); ok && v < 0 {
			version = -2 // no stream is ever there
		} else if ok {
			version = v
		}
		expected = appendInt(expected, version)
		create = appendWord(create, strconv.FormatBool(r.Expected.MayCreate()))
		totals = appendInt(totals, int64(len(r.Events)))
		begun = appendCreated(begun, r.Events[0].CreatedAt)
		hasBegun = hasBegun || !r.Events[0].CreatedAt.IsZero()
	}
	w := newBatchWriter(events...)
	for i, list := range events {
		w.add(list, i+1)
	}
	all := w.batch(7)
	args := []any{
		textArray(names), string(expected) + "}", string(create) + "}", nil, look, string(totals) + "}",
		all.ids, nullable(all.causation), nullable(all.correlation), all.types, all.data, all.metadata, all.cuts, nullable(all.created),
	}
	if hasBegun {
		args[3] = string(begun) + "}"
	}
	return args
}
