package commandedtest

import (
	"context"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// Exec runs statements, in which /*schema.*/ stands before names.
func (s *Store) Exec(tb testing.TB, text string, args ...any) {
	tb.Helper()
	_, err := s.ExecContext(tb.Context(), strings.ReplaceAll(text, "/*schema.*/", s.quoted()+"."), args...)
	require.NoError(tb, err)
}

// Number reads a number by a query, in which /*schema.*/ stands before names.
func (s *Store) Number(tb testing.TB, query string, into *int64) {
	tb.Helper()
	require.NoError(tb, s.QueryRowContext(tb.Context(), strings.ReplaceAll(query, "/*schema.*/", s.quoted()+".")).Scan(into))
}

func (s *Store) write(ctx context.Context, name string, args ...any) error {
	_, err := s.ExecContext(ctx, s.writes.Get(name), args...)
	return err
}

// NewIDs returns ids of new events.
func NewIDs(n int) []uuid.UUID {
	list := make([]uuid.UUID, n)
	for i := range list {
		list[i] = uuid.New()
	}
	return list
}

func texts(ids []uuid.UUID) []string {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = id.String()
	}
	return list
}

// Append appends events with these ids, whatever version the stream has.
func (s *Store) Append(ctx context.Context, stream string, ids ...uuid.UUID) error {
	return s.write(ctx, "append", stream, texts(ids))
}

// Link links to events. Of those that are not there it leaves a hole, and of no events an empty stream.
func (s *Store) Link(ctx context.Context, stream string, ids ...uuid.UUID) error {
	return s.write(ctx, "link", stream, texts(ids))
}

// SoftDelete marks a stream as deleted.
func (s *Store) SoftDelete(ctx context.Context, stream string) error {
	return s.write(ctx, "soft_delete", stream)
}

// HardDelete removes a stream, its events, and the events that it links to.
func (s *Store) HardDelete(ctx context.Context, stream string) error {
	tx, err := s.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit this does nothing
	for _, w := range []struct {
		name string
		args []any
	}{{"allow_hard_deletes", nil}, {"hard_delete", []any{stream}}} {
		if _, err := tx.ExecContext(ctx, s.writes.Get(w.name), w.args...); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// Snapshot records a snapshot, whose data is JSON.
func (s *Store) Snapshot(ctx context.Context, source string, version int64, data string) error {
	return s.write(ctx, "snapshot", source, version, data)
}

// DeleteSnapshot removes a snapshot.
func (s *Store) DeleteSnapshot(ctx context.Context, source string) error {
	return s.write(ctx, "delete_snapshot", source)
}

// Acknowledge records how far a subscription has come.
func (s *Store) Acknowledge(ctx context.Context, stream, name string, number int64) error {
	return s.write(ctx, "acknowledge", stream, name, number)
}

// DeleteSubscription removes a subscription.
func (s *Store) DeleteSubscription(ctx context.Context, stream, name string) error {
	return s.write(ctx, "delete_subscription", stream, name)
}
