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
		if err := s.unchanged(ctx, tx); err != nil {
			return err
		}
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

// Known implements [archive.Followed].
func (s *Source) Known(position int64, event uuid.UUID) { s.position, s.event = position, event }

// unchanged checks, in the transaction that reads what is next, that it reads the store that was read before: the server behind an
// address may be another one from one connection to the next.
func (s *Source) unchanged(ctx context.Context, tx *sql.Tx) error {
	if s.event == uuid.Nil {
		return nil
	}
	id, err := s.eventAt(ctx, tx, s.position)
	if err == nil && id != uuid.Nil && id != s.event {
		err = &archive.ReplacedError{Position: s.position, Had: s.event, Has: id}
	}
	return err
}
