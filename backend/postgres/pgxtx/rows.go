package pgxtx

import (
	"database/sql/driver"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// formats are the types that the server sends in the binary format, where pgx asks for formats: those that readerOf reads. All others come
// as text.
var formats = pgx.QueryResultFormatsByOID{
	pgtype.BoolOID: pgx.BinaryFormatCode, pgtype.ByteaOID: pgx.BinaryFormatCode,
	pgtype.Int2OID: pgx.BinaryFormatCode, pgtype.Int4OID: pgx.BinaryFormatCode, pgtype.Int8OID: pgx.BinaryFormatCode,
	pgtype.Float4OID: pgx.BinaryFormatCode, pgtype.Float8OID: pgx.BinaryFormatCode,
	pgtype.TimestamptzOID: pgx.BinaryFormatCode,
}

// rows are the rows of a query for database/sql. It closes them before it sends the next statement.
type rows struct {
	rows    pgx.Rows
	columns []string
	readers []reader
	held    bool // the current row is still to be handed out
}

// newRows reads the first row: only with it comes the error of a statement that the server refuses.
func newRows(r pgx.Rows) (driver.Rows, error) {
	more := r.Next()
	if err := r.Err(); err != nil {
		r.Close()
		return nil, err
	}
	fields := r.FieldDescriptions()
	out := &rows{rows: r, columns: make([]string, len(fields)), held: more}
	for i, f := range fields {
		out.columns[i] = f.Name
	}
	if !more {
		return out, nil
	}
	types := r.TypeMap()
	if types == nil {
		types = pgtype.NewMap()
	}
	out.readers = make([]reader, len(fields))
	for i, f := range fields {
		out.readers[i] = readerOf(types, f)
	}
	return out, nil
}

// Columns implements [driver.Rows].
func (r *rows) Columns() []string { return r.columns }

// Close implements [driver.Rows]. It reads what is left, so that the connection can be used again.
func (r *rows) Close() error {
	r.rows.Close()
	return r.rows.Err()
}

// Next implements [driver.Rows]. The bytes of a value are valid until the next call: database/sql copies what is to last.
func (r *rows) Next(dest []driver.Value) (err error) {
	if !r.held && !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return io.EOF
	}
	r.held = false
	for i, raw := range r.rows.RawValues() {
		if raw == nil {
			dest[i] = nil
		} else if dest[i], err = r.readers[i](raw); err != nil {
			return fmt.Errorf("pgxtx: column %q: %w", r.columns[i], err)
		}
	}
	return nil
}

// reader makes a value for database/sql of what the server has sent.
type reader func(raw []byte) (driver.Value, error)

func readerOf(types *pgtype.Map, f pgconn.FieldDescription) reader {
	switch f.DataTypeOID {
	case pgtype.BoolOID:
		return scan[bool](types, f)
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID:
		return scan[int64](types, f)
	case pgtype.Float4OID, pgtype.Float8OID:
		return scan[float64](types, f)
	case pgtype.TimestamptzOID:
		return scan[time.Time](types, f)
	case pgtype.ByteaOID:
		if f.Format == pgx.TextFormatCode {
			return scan[[]byte](types, f)
		}
	}
	return asIs
}

// scan reads values of type T as pgx does.
func scan[T any](types *pgtype.Map, f pgconn.FieldDescription) reader {
	v := new(T)
	plan := types.PlanScan(f.DataTypeOID, f.Format, v)
	return func(raw []byte) (driver.Value, error) {
		err := plan.Scan(raw, v)
		return *v, err
	}
}

// asIs is for text, and for bytes in the binary format.
func asIs(raw []byte) (driver.Value, error) { return raw, nil }
