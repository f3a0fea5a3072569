// Package commanded reads a store of the Elixir library commanded/eventstore in PostgreSQL, so that it can be exported
// while it is in use.
//
// All that it does is select, in transactions that are read only: no row of the store is locked, and appends go on. That
// a reader sees a prefix of $all is the library's promise: each append updates the row of $all, and holds it until it
// commits.
//
// # What is not JSON
//
// The library does not store how an event is encoded. What is valid JSON has the content type "", which stands for JSON;
// of the rest, what starts as the external term format of Erlang does is [ErlangTerm], and all else is [Unknown]. The
// bytes stay as they are. Metadata of the JSON null, or of Erlang's nil, is none: the library stores that for an event
// that was appended without.
//
// # What is left out
//
// Events, places and links that mistakes and hard deletes have left behind are left out and counted in [Summary]. A name that this
// library refuses is a [NamesError] before any record is read; [Options] give streams other names, or leave them out as if they had
// been hard deleted: their positions stay unused, and links to their events are gone.
package commanded
