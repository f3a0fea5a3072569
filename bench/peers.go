package bench

import (
	"errors"

	"github.com/eventstore-go/eventstore/backend/postgres"
)

// connections is how many each store may have.
const connections = 40

var errConflict = errors.New("another was faster")

// peers are what is compared, in the order of the tables.
var peers = []peer{
	{name: "eventstore", version: "this", global: true, checked: true, how: "default options", open: oursWith(postgres.Options{})},
	{
		name: "eventstore, alone", version: "this", global: true, checked: true, how: "NoGroupCommit: each append has its own commit",
		open: oursWith(postgres.Options{NoGroupCommit: true}),
	},
	{name: "counter row", global: true, checked: true, how: "three tables and a row that every append updates, a statement for each event", open: openCounter},
	{name: "hallgren", version: "eventstore/sql v0.7.0", checked: true, how: "Save, Get, All", open: openHallgren},
	{name: "chronicle", version: "v0.5.0", checked: true, how: "the event log, without metadata; data is jsonb", open: openChronicle},
	{name: "aneshas", version: "v1.5.2", checked: true, how: "AppendStream, ReadStream, ReadAll, SubscribeAll, in pages of 1,000", open: openAneshas},
	{name: "goes", version: "v0.9.0", checked: true, how: "Insert, Query, without metadata; data is jsonb; all events by time", open: openGoes},
	{
		name: "watermill-sql", version: "v4.1.2", global: true, how: "a log of messages: nothing is checked, and read through a subscriber alone",
		open: openMill,
	},
	{name: "raw SQL", how: "one table, a prepared insert for each event: nothing is checked", open: openRaw},
}
