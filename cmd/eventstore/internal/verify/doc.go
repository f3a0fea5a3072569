// Package verify looks for damage in a store: what the library and the guards in its database never let happen, but a
// restore of half of the tables, a script, or a broken disk may.
//
// A store may be in use meanwhile. Everything is read in short transactions that write nothing and lock nothing, each a
// view of one moment, and what one of them looks at is complete in itself: a page of streams, a page of appends. So an
// append that is just being committed is never taken for damage. The database does the counting, in the order of its
// indexes; of what it finds only a bounded part is kept here.
//
// # What can't be told
//
// A hard delete leaves positions unused, and versions of streams that its events were linked to. PostgreSQL notes which
// streams had links, but not which positions are meant to be missing: there may be as many gaps in the log as there are
// numbers of appends that are gone. SQLite notes neither, but its numbers of streams have no gaps unless a stream was
// removed. So in a store without hard deletes every gap is found, in another only one that no hard delete explains.
package verify
