package archive

import (
	"fmt"

	"github.com/google/uuid"
)

// Identity says which store an archive was read from.
type Identity struct {
	StoreID     uuid.UUID `json:"store_id,omitzero"`      // of a store of this library
	System      string    `json:"system,omitempty"`       // system identifier of the PostgreSQL server; "" if it may not be read
	DatabaseOID int64     `json:"database_oid,omitempty"` // of a PostgreSQL database in its server
	Database    string    `json:"database,omitempty"`     // name of the database
	Schema      string    `json:"schema,omitempty"`       // or prefix of the tables in SQLite
}

// Same reports whether both are of one store. A store of this library has an id of its own, whatever its database and schema
// are called. Any other store is where it is: a schema of a database of a server.
func (i Identity) Same(other Identity) bool {
	if i.StoreID != uuid.Nil || other.StoreID != uuid.Nil {
		return i.StoreID == other.StoreID
	}
	if i.System == "" && i.Database != other.Database { // without a server's identifier, take what there is
		return false
	}
	return i.System == other.System && i.DatabaseOID == other.DatabaseOID && i.Schema == other.Schema
}

// String returns the identity for messages.
func (i Identity) String() string {
	where := fmt.Sprintf("schema %q of database %q", i.Schema, i.Database)
	switch {
	case i.StoreID != uuid.Nil:
		return fmt.Sprintf("store %s (%s)", i.StoreID, where)
	case i == Identity{}:
		return "an unnamed store"
	case i.System == "":
		return fmt.Sprintf("%s (oid %d)", where, i.DatabaseOID)
	}
	return fmt.Sprintf("%s (oid %d, server %s)", where, i.DatabaseOID, i.System)
}
