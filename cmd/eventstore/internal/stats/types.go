package stats

import (
	"context"
	"database/sql"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
)

// RecentTypes returns at most limit types, by name: those of the first and the last ten thousand events.
func RecentTypes(ctx context.Context, d *database.Database, limit int) (names []string, err error) {
	err = newCollector(d).each(ctx, "recent_types", func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		names = append(names, name)
		return err
	}, limit)
	return names, err
}
