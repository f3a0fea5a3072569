package commanded

import (
	"context"
	"database/sql"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
)

// Identity implements [archive.Source]. The server's identifier is left out if the user may not read it.
func (s *Source) Identity(ctx context.Context) (i archive.Identity, err error) {
	i.Schema = s.schema
	err = s.read(ctx, sql.LevelDefault, func(tx *sql.Tx) error {
		may := false
		if err := s.each(ctx, tx, "identity", func(rows *sql.Rows) error { return rows.Scan(&i.DatabaseOID, &i.Database) }); err != nil {
			return err
		}
		if err := s.each(ctx, tx, "may_system", func(rows *sql.Rows) error { return rows.Scan(&may) }); err != nil || !may {
			return err
		}
		return s.each(ctx, tx, "system", func(rows *sql.Rows) error { return rows.Scan(&i.System) })
	})
	return i, err
}

// Head implements [archive.Source].
func (s *Source) Head(ctx context.Context) (head int64, err error) {
	err = s.read(ctx, sql.LevelDefault, func(tx *sql.Tx) error {
		return s.each(ctx, tx, "head", func(rows *sql.Rows) error { return rows.Scan(&head) })
	})
	return head, err
}

// EventAt implements [archive.Source].
func (s *Source) EventAt(ctx context.Context, position int64) (id uuid.UUID, err error) {
	err = s.read(ctx, sql.LevelDefault, func(tx *sql.Tx) (err error) {
		id, err = s.eventAt(ctx, tx, position)
		return err
	})
	return id, err
}

func (s *Source) eventAt(ctx context.Context, tx *sql.Tx, position int64) (id uuid.UUID, err error) {
	err = s.each(ctx, tx, "event_at", func(rows *sql.Rows) error { return rows.Scan(&id) }, position)
	return id, err
}
