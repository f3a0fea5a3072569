package transfer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
)

// postgresTarget writes with COPY.
//
// Into an empty store, the number of an append is its first position, and its place in the log is written with it; so a
// batch that was committed is there in every way. Into another, numbers are drawn as an append draws them, and a tick gives
// the places.
type postgresTarget struct {
	base
	conn *sql.Conn
}

func (t *postgresTarget) close() error { return t.conn.Close() }

// in runs f in a transaction.
func (t *postgresTarget) in(ctx context.Context, f func(tx tx) error) error {
	begun, err := t.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	own := tx{begun, t.base}
	err = own.exec(ctx, "importing")
	if err == nil {
		err = f(own)
	}
	if err != nil {
		return errors.Join(err, ended(begun.Rollback()))
	}
	return begun.Commit()
}

// ended passes over the error that says that there was nothing to roll back any more.
func ended(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

func (t *postgresTarget) taken(ctx context.Context, l look) error {
	return t.base.taken(ctx, t.conn, l)
}

func (t *postgresTarget) begin(ctx context.Context, s state, each func(context.Context, func([]*archive.Stream) error) error) (state, error) {
	err := t.in(ctx, func(tx tx) (err error) {
		lacking, err := tx.names(ctx, tx, "rights")
		if err != nil {
			return err
		}
		if len(lacking) > 0 {
			return &RightsError{lacking}
		}
		if err := tx.exec(ctx, "exclusive"); err != nil {
			return err
		}
		if s, err = tx.begin(ctx, s, func() (base int64, err error) {
			if s.merge {
				_, err = tx.one(ctx, "reserve", []any{s.highest}, &base)
			} else if _, err = tx.one(ctx, "highest_stream", nil, &base); err == nil {
				err = tx.exec(ctx, "sequences", max(s.header.Head, 1), max(base+s.highest, 1))
			}
			if err != nil {
				return 0, err
			}
			return base, tx.exec(ctx, "retire_streams", base+s.highest)
		}); err != nil {
			return err
		}
		return each(ctx, func(batch []*archive.Stream) error { return t.streams(ctx, tx, s, batch) })
	})
	return s, err
}

// copyRows is COPY of n rows.
func (t *postgresTarget) copyRows(ctx context.Context, table pgx.Identifier, columns string, n int, row func(i int) ([]any, error)) error {
	if n == 0 {
		return nil
	}
	return t.conn.Raw(func(driver any) error {
		copied, err := driver.(*stdlib.Conn).Conn().CopyFrom(ctx, table, strings.Fields(columns), pgx.CopyFromSlice(n, row))
		var pg *pgconn.PgError
		if errors.As(err, &pg) && pg.ConstraintName == "events_event_id_key" {
			return fmt.Errorf("%w: %s", ErrTakenID, pg.Detail)
		}
		if err == nil && copied != int64(n) {
			err = fmt.Errorf("%d of %d rows were copied", copied, n)
		}
		return err
	})
}

func (t *postgresTarget) table(name string) pgx.Identifier { return pgx.Identifier{t.d.Schema, name} }

func (t *postgresTarget) streams(ctx context.Context, tx tx, s state, batch []*archive.Stream) error {
	names := make([]string, len(batch))
	for i, r := range batch {
		names[i] = r.Name
	}
	if err := t.base.taken(ctx, tx, look{names: names}); err != nil {
		return err
	}
	return t.copyRows(ctx, t.table("streams"), "stream_id name version created_at deleted_at linked", len(batch), func(i int) ([]any, error) {
		r := batch[i]
		return []any{s.base + r.ID, r.Name, r.Version, r.CreatedAt, orNull(r.DeletedAt), r.Linked}, nil
	})
}

func orNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}

func (t *postgresTarget) within(ctx context.Context, was, now state, f func(tx tx) error) error {
	return t.in(ctx, func(tx tx) error {
		if err := tx.write(ctx, was, now); err != nil {
			return err
		}
		return f(tx)
	})
}

func (t *postgresTarget) events(ctx context.Context, was, now state, batch []*archive.Event) error {
	err := t.within(ctx, was, now, func(tx tx) error { return t.putEvents(ctx, tx, was, batch) })
	return t.explain(ctx, batch, err)
}

func (t *postgresTarget) putEvents(ctx context.Context, tx tx, was state, batch []*archive.Event) error {
	if len(batch) == 0 {
		return nil
	}
	var appends []int // where each append of the batch begins
	for i, e := range batch {
		if e.Index == 0 || i == 0 {
			appends = append(appends, i)
		}
	}
	numbers, err := t.numbers(ctx, tx, was, batch, appends)
	if err != nil {
		return err
	}
	a := -1
	err = t.copyRows(ctx, t.table("events"),
		"append_seq stream_id version created_at idx event_id causation_id correlation_id event_type content_type data metadata",
		len(batch), func(i int) ([]any, error) {
			e := batch[i]
			if a+1 < len(appends) && appends[a+1] == i {
				a++
			}
			return []any{
				numbers[a], was.base + e.StreamID, e.Version, e.CreatedAt, int32(e.Index), e.ID, idOrNull(e.CausationID), idOrNull(e.CorrelationID),
				e.Type, textOrNull(e.ContentType), e.Data, bytesOrNull(e.Metadata),
			}, nil
		})
	if err != nil || was.merge {
		return err
	}
	return t.copyRows(ctx, t.table("log"), "position append_seq n", len(appends), func(i int) ([]any, error) {
		n := len(batch)
		if i+1 < len(appends) {
			n = appends[i+1]
		}
		return []any{batch[appends[i]].Position, numbers[i], int32(n - appends[i])}, nil
	})
}

func (t *postgresTarget) reserve(ctx context.Context, tx tx, position, stream int64) error {
	return tx.exec(ctx, "sequences", max(position, 1), max(stream, 1))
}

// explain returns ErrNotJSON with the first event whose data the columns refuse, where that is why a batch was not written.
func (t *postgresTarget) explain(ctx context.Context, batch []*archive.Event, err error) error {
	if err == nil || t.data == anyBytes || !refused(err) {
		return err
	}
	for _, e := range batch {
		_, tried := t.conn.ExecContext(ctx, t.queries.Get("try_data"), e.Data, bytesOrNull(e.Metadata))
		if refused(tried) {
			return fmt.Errorf("%w: %s: %w", ErrNotJSON, eventName(e), tried)
		}
	}
	return err
}

// refused reports whether an error is of data: a data exception, or a limit of the server.
func refused(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (strings.HasPrefix(pg.Code, "22") || strings.HasPrefix(pg.Code, "54") || pg.Code == "XX000")
}

// numbers returns the number of each append.
func (t *postgresTarget) numbers(ctx context.Context, tx tx, was state, batch []*archive.Event, appends []int) (list []int64, err error) {
	if was.merge {
		err := each(ctx, tx, t.queries.Get("draw"), func(rows *sql.Rows) error {
			var n int64
			err := rows.Scan(&n)
			list = append(list, n)
			return err
		}, len(appends))
		if err == nil && len(list) != len(appends) {
			err = fmt.Errorf("draw: %d numbers of %d", len(list), len(appends))
		}
		return list, err
	}
	if err := tx.exec(ctx, "lock_tick"); err != nil {
		return nil, err
	}
	var head, number int64
	if _, err := tx.one(ctx, "head", nil, &head, &number); err != nil {
		return nil, err
	}
	if head != was.position || number > was.position {
		return nil, ErrMeanwhile
	}
	for _, first := range appends {
		list = append(list, batch[first].Position)
	}
	return list, nil
}

func idOrNull(id uuid.UUID) any {
	if id == uuid.Nil {
		return nil
	}
	return id
}

func textOrNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func bytesOrNull(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

func (t *postgresTarget) gone(ctx context.Context, was, now state, batch []*archive.Gone) error {
	return t.in(ctx, func(tx tx) error {
		if err := tx.write(ctx, was, now); err != nil {
			return err
		}
		return tx.removeGone(ctx, was.base, batch)
	})
}

func (t *postgresTarget) links(ctx context.Context, was, now state, batch []*archive.Link) error {
	return t.within(ctx, was, now, func(tx tx) error { return t.putLinks(ctx, tx, was, batch) })
}

func (t *postgresTarget) putLinks(ctx context.Context, tx tx, was state, batch []*archive.Link) error {
	if len(batch) == 0 {
		return nil
	}
	if err := tx.exec(ctx, "staged_links"); err != nil {
		return err
	}
	err := t.copyRows(ctx, pgx.Identifier{"staged_links"}, "stream_id version event_id", len(batch), func(i int) ([]any, error) {
		return []any{was.base + batch[i].StreamID, batch[i].Version, batch[i].EventID}, nil
	})
	if err != nil {
		return err
	}
	return tx.exec(ctx, "insert_links")
}

func (t *postgresTarget) snapshots(ctx context.Context, was, now state, batch []*archive.Snapshot) error {
	return t.in(ctx, func(tx tx) error {
		if err := tx.write(ctx, was, now); err != nil {
			return err
		}
		for _, s := range batch {
			one := 0
			found, err := tx.one(ctx, "insert_snapshot", []any{s.SourceID, s.Version, s.Type, s.ContentType, s.Data, bytesOrNull(s.Metadata), s.CreatedAt}, &one)
			if err == nil && !found {
				err = &TakenError{ErrTaken, "snapshots", []string{s.SourceID}}
			}
			if err != nil {
				return fmt.Errorf("the snapshot of %q: %w", s.SourceID, err)
			}
		}
		return nil
	})
}

func (t *postgresTarget) finish(ctx context.Context, was state, list []*archive.Subscription) error {
	if _, err := t.conn.ExecContext(ctx, t.queries.Get("analyze")); err != nil {
		return err
	}
	return t.in(ctx, func(tx tx) error {
		if err := tx.write(ctx, was, was); err != nil {
			return err
		}
		if err := tx.exec(ctx, "epochs"); err != nil {
			return err
		}
		if err := tx.subscriptions(ctx, was, list); err != nil {
			return err
		}
		if !was.merge {
			if err := t.settle(ctx, tx, was); err != nil {
				return err
			}
		}
		return tx.end(ctx)
	})
}

func (t *postgresTarget) mark(ctx context.Context, was state) error {
	return t.in(ctx, func(tx tx) error { return tx.mark(ctx, was) })
}

func (t *postgresTarget) clear(ctx context.Context, s state) (more bool, err error) {
	err = t.in(ctx, func(tx tx) error {
		more, err = tx.clear(ctx, s)
		return err
	})
	return more, err
}

func (t *postgresTarget) clean(ctx context.Context, s state) error {
	return t.in(ctx, func(tx tx) error { return tx.clean(ctx, s) })
}

// settle makes positions go on behind those of the archive.
func (t *postgresTarget) settle(ctx context.Context, tx tx, was state) error {
	if err := tx.exec(ctx, "lock_tick"); err != nil {
		return err
	}
	var head, number int64
	if _, err := tx.one(ctx, "head", nil, &head, &number); err != nil {
		return err
	}
	if head > was.position || number > was.position {
		return ErrMeanwhile
	}
	if head < was.header.Head {
		return tx.exec(ctx, "filler", was.header.Head)
	}
	return nil
}
