package transfer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// querier is a *sql.DB, *sql.Tx or *sql.Conn.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// each calls do for each row of a query.
func each(ctx context.Context, q querier, query string, do func(rows *sql.Rows) error, args ...any) (err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := do(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// time returns what scans a time as the database keeps it: null leaves it zero.
func (s *source) time(into *time.Time) sql.Scanner { return moment{into} }

type moment struct{ into *time.Time }

func (m moment) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*m.into = time.Time{}
	case int64:
		*m.into = time.UnixMicro(v).UTC()
	case time.Time:
		*m.into = v.UTC()
	default:
		return fmt.Errorf("transfer: %T is no time", v)
	}
	return nil
}

// optional scans bytes, of which none are something else than null.
type optional struct{ into *[]byte }

func (o optional) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*o.into = nil
	case []byte:
		*o.into = append([]byte{}, v...)
	case string: // of type json
		*o.into = []byte(v)
	default:
		return fmt.Errorf("transfer: %T is not bytes", v)
	}
	return nil
}

// id scans an id: text or 16 bytes; null is zero.
type id struct{ into *uuid.UUID }

func (i id) Scan(v any) error {
	*i.into = uuid.Nil
	switch v := v.(type) {
	case []byte:
		if len(v) == 16 {
			copy(i.into[:], v)
			return nil
		}
	case string, nil:
	default:
		return fmt.Errorf("transfer: %T is no id", v)
	}
	return i.into.Scan(v)
}
