package verify

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"math"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
	"github.com/eventstore-go/eventstore/internal/queries"
)

// Violation is something that is not as it must be.
type Violation struct {
	Check string `json:"check"`         // short name of what was checked, such as stream-gap
	What  string `json:"what"`          // one line
	Fix   string `json:"fix,omitempty"` // what to do about it; "" if there is nothing but a backup
}

// Unfinished is the check that finds an unfinished import.
const Unfinished = "import-unfinished"

// Summary is what was looked at.
type Summary struct {
	Streams, Events, Links, LogRows, Subscriptions int64

	Checks     int   // that were made
	Violations int64 // that were found, also those that were not reported one by one
}

// mostReported is how many violations of a check are reported one by one. The rest is counted.
const mostReported = 100

// pageSize is how many streams or events one transaction looks at, about.
const pageSize = 20_000

var (
	//go:embed queries_postgres.sql
	postgresFile string
	//go:embed queries_sqlite.sql
	sqliteFile string
)

// Run makes all checks of the store and calls report for each violation that it finds, but not for more than 100 of each
// check: then one more says how many there were. No transaction is open while report runs. Its error ends Run, and is
// returned as it is. Run fails if the store's tables are missing or old: see [database.Database.Check].
func Run(ctx context.Context, d *database.Database, report func(Violation) error) (Summary, error) {
	return run(ctx, d, pageSize, report)
}

func run(ctx context.Context, d *database.Database, pageSize int64, report func(Violation) error) (Summary, error) {
	v := &verifier{
		d: d, queries: d.Queries(postgresFile), isolation: sql.LevelRepeatableRead, steps: postgresSteps,
		pageSize: pageSize, report: report, found: map[string]int64{},
	}
	if d.Kind == database.SQLite { // where a transaction is a view of one moment anyway
		v.queries, v.isolation, v.steps = d.Queries(sqliteFile), sql.LevelDefault, sqliteSteps
	}
	if err := d.Check(ctx); err != nil {
		return v.summary, err
	}
	if err := v.unfinished(ctx); err != nil {
		return v.summary, err
	}
	if err := v.count(ctx); err != nil {
		return v.summary, err
	}
	for _, s := range v.steps {
		if err := v.step(ctx, s); err != nil {
			return v.summary, err
		}
	}
	return v.summary, nil
}

// verifier is one run.
type verifier struct {
	d         *database.Database
	queries   queries.Set
	isolation sql.IsolationLevel
	steps     []step
	pageSize  int64
	report    func(Violation) error
	found     map[string]int64 // violations by check
	summary   Summary
}

// unfinished reports an import that is unfinished: it explains what is found behind it.
func (v *verifier) unfinished(ctx context.Context) error {
	u, err := transfer.Find(ctx, v.d)
	if err != nil || u == nil {
		return v.failed(ctx, "unfinished import", err)
	}
	v.summary.Checks++
	v.summary.Violations++
	return v.report(Violation{Check: Unfinished, What: u.String(), Fix: transfer.Advice})
}

// count counts the rows of the large tables.
func (v *verifier) count(ctx context.Context) error {
	s := &v.summary
	return v.read(ctx, func(tx *sql.Tx) error {
		row := tx.QueryRowContext(ctx, v.queries.Get("counts"))
		return v.failed(ctx, "counts", row.Scan(&s.Streams, &s.Events, &s.Links, &s.LogRows, &s.Subscriptions))
	})
}

// step makes the checks of a step and reports what they find.
func (v *verifier) step(ctx context.Context, s step) error {
	after := int64(math.MinInt64)
	for more := true; more; {
		to := int64(math.MaxInt64)
		var list []Violation
		err := v.read(ctx, func(tx *sql.Tx) (err error) {
			var args []any
			if s.pages != "" {
				if to, err = v.pageEnd(ctx, tx, s.pages, after); err != nil {
					return err
				}
				args = []any{after, to}
			}
			list, err = v.look(ctx, tx, s.query, args...)
			return err
		})
		if err != nil {
			return err
		}
		for _, violation := range list {
			if err := v.report(violation); err != nil {
				return err
			}
		}
		after, more = to, to != math.MaxInt64
	}
	v.summary.Checks += len(s.checks)
	return v.reportRest(s)
}

// pageEnd returns where the page behind after ends.
func (v *verifier) pageEnd(ctx context.Context, tx *sql.Tx, query string, after int64) (int64, error) {
	var to int64
	err := tx.QueryRowContext(ctx, v.queries.Get(query), after, v.pageSize-1).Scan(&to)
	if errors.Is(err, sql.ErrNoRows) { // the last page
		return math.MaxInt64, nil
	}
	return to, v.failed(ctx, query, err)
}

// look returns the violations that a statement finds, but for those that are too many, which it counts.
func (v *verifier) look(ctx context.Context, tx *sql.Tx, query string, args ...any) (list []Violation, err error) {
	rows, err := tx.QueryContext(ctx, v.queries.Get(query), args...)
	if err != nil {
		return nil, v.failed(ctx, query, err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err is what counts
	for rows.Next() {
		var check, what string
		if err := rows.Scan(&check, &what); err != nil {
			return nil, v.failed(ctx, query, err)
		}
		v.summary.Violations++
		if v.found[check]++; v.found[check] <= mostReported {
			list = append(list, Violation{Check: check, What: what, Fix: fixes[check]})
		}
	}
	return list, v.failed(ctx, query, rows.Err())
}

// reportRest says how many violations were not reported one by one.
func (v *verifier) reportRest(s step) error {
	for _, check := range s.checks {
		if n := v.found[check] - mostReported; n > 0 {
			if err := v.report(Violation{Check: check, What: fmt.Sprintf("and %d more", n), Fix: fixes[check]}); err != nil {
				return err
			}
		}
	}
	return nil
}

// read runs f in a transaction that only reads, and sees what was committed when it began.
func (v *verifier) read(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := v.d.BeginTx(ctx, &sql.TxOptions{Isolation: v.isolation, ReadOnly: true})
	if err != nil {
		return v.failed(ctx, "begin", err)
	}
	defer tx.Rollback() //nolint:errcheck // there is nothing to keep
	if v.d.Kind == database.PostgreSQL {
		if _, err := tx.ExecContext(ctx, v.queries.Get("settings")); err != nil {
			return v.failed(ctx, "settings", err)
		}
	}
	return f(tx)
}

// failed says which statement has failed. If ctx is done the error is ctx's, too, whatever the driver makes of it.
func (v *verifier) failed(ctx context.Context, query string, err error) error {
	switch done := ctx.Err(); {
	case err == nil:
		return nil
	case done != nil && !errors.Is(err, done):
		return fmt.Errorf("verify: %s: %w: %w", query, done, err)
	}
	return fmt.Errorf("verify: %s: %w", query, err)
}
