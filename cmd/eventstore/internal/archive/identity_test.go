package archive_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
)

// A store of this library is known by its id alone, another one by its server, database and schema.
func TestIdentity(t *testing.T) {
	t.Parallel()
	own := archive.Identity{StoreID: uuid.New(), Database: "shop", Schema: "public"}
	model := archive.Identity{System: "7301", DatabaseOID: 16384, Database: "shop", Schema: "public"}
	unread := archive.Identity{DatabaseOID: 16384, Database: "shop", Schema: "public"} // the server's id may not be read
	for _, c := range []struct {
		name   string
		change func(i *archive.Identity)
		of     archive.Identity
		same   bool
	}{
		{"itself", func(*archive.Identity) {}, own, true},
		{"a store that was renamed", func(i *archive.Identity) { i.Database, i.Schema = "other", "other" }, own, true},
		{"another store", func(i *archive.Identity) { i.StoreID = uuid.New() }, own, false},
		{"no store", func(i *archive.Identity) { i.StoreID = uuid.Nil }, own, false},
		{"itself", func(*archive.Identity) {}, model, true},
		{"a database that was renamed", func(i *archive.Identity) { i.Database = "other" }, model, true},
		{"a database of the same name on another server", func(i *archive.Identity) { i.System = "7302" }, model, false},
		{"another database", func(i *archive.Identity) { i.DatabaseOID++ }, model, false},
		{"another schema", func(i *archive.Identity) { i.Schema = "other" }, model, false},
		{"itself", func(*archive.Identity) {}, unread, true},
		{"another database", func(i *archive.Identity) { i.Database = "other" }, unread, false},
	} {
		other := c.of
		c.change(&other)
		assert.Equal(t, c.same, c.of.Same(other), "%s and %s", c.of, c.name)
		assert.Equal(t, c.same, other.Same(c.of), "%s and %s", c.name, c.of)
	}
}
