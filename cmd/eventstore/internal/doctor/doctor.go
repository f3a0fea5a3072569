// Package doctor looks for what makes a store slow, unsafe or stuck: settings of the server, other people's transactions,
// what is missing in the schema, and readers that have stopped.
package doctor

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
	"github.com/eventstore-go/eventstore/internal/queries"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
	"github.com/eventstore-go/eventstore/store/health"
)

// Level says how bad a finding is.
type Level = health.Level

// Levels, from good to bad.
const (
	Good    = health.Good
	Note    = health.Note
	Warning = health.Warning
	Problem = health.Problem
)

// Finding is what a check has found.
type Finding struct {
	Check  string `json:"check"` // short name of what was looked at, such as long-transaction
	Level  Level  `json:"level"`
	What   string `json:"what"`             // one line
	Advice string `json:"advice,omitempty"` // what to do; "" if all is well
	Action Action `json:"action,omitempty"` // what this program can do about it; "" if it is something else
}

// Action names an operation of this program. Advice says the same in general words.
type Action string

// Actions.
const (
	FinishImport       Action = "finish-import" // or abandon it
	CreateTables       Action = "create-tables"
	Migrate            Action = "migrate"
	Rename             Action = "rename" // migrate tables whose schema was renamed
	SubscriptionParked Action = "subscription-parked"
	SubscriptionDelete Action = "subscription-delete"
	ProjectionParked   Action = "projection-parked"
	ProjectionDelete   Action = "projection-delete"
	Reset              Action = "reset" // a subscription or a projection, after a look at the store
	ReadLast           Action = "read-last"
)

// Options of [Examine]. The zero value of each field is its default.
type Options struct {
	// Long is from when on a transaction of another session is worth a warning, and ten times that a problem; and from when on it is
	// a problem that a reader does not move. Default: 1 minute.
	Long time.Duration
	// Lag is from when on a subscription that nobody runs is worth a warning: numbers behind. Default: 1.
	Lag int64
}

// Examine makes all checks, and returns what each has found. It only reads. What the user may not look at is a finding, too.
// The error is the database's if it can't be reached, or ctx's.
func Examine(ctx context.Context, d *database.Database, o Options) ([]Finding, error) {
	if o.Long <= 0 {
		o.Long = time.Minute
	}
	if o.Lag <= 0 {
		o.Lag = 1
	}
	e := &examination{d: d, o: o}
	if err := d.PingContext(ctx); err != nil {
		return nil, err
	}
	server := e.postgres()
	if d.Kind == database.SQLite {
		server = e.sqlite()
	}
	checks := append([]check{{"import", e.unfinished}}, server...)
	ready := false
	checks = append(checks, check{"schema", func(ctx context.Context) (err error) {
		ready, err = e.schema(ctx)
		return err
	}})
	if err := e.make(ctx, checks); err != nil {
		return nil, err
	}
	if ready {
		err := e.make(ctx, e.inside())
		return e.found, err
	}
	return e.found, nil
}

// check is one check: it reports findings, and returns why it could not be made.
type check struct {
	name string
	run  func(ctx context.Context) error
}

type examination struct {
	d       *database.Database
	o       Options
	queries queries.Set
	name    string // of the check that is made
	found   []Finding
}

// make makes checks one after the other. One that fails is a finding, and does not keep the others from being made.
func (e *examination) make(ctx context.Context, list []check) error {
	for _, c := range list {
		e.name = c.name
		if err := c.run(ctx); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			e.report(Warning, "this could not be looked at: "+e.d.Redact(words(err)), "look at it as a user who may, such as the owner of the tables")
		}
	}
	return nil
}

// words is what a server says, without the names of statements, or else the text of an error.
func words(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Message
	}
	return err.Error()
}

func (e *examination) report(l Level, what, advice string) {
	e.reportAction(l, what, advice, "")
}

func (e *examination) reportAction(l Level, what, advice string, a Action) {
	e.found = append(e.found, Finding{e.name, l, what, advice, a})
}

func (e *examination) good(format string, args ...any) {
	e.report(Good, fmt.Sprintf(format, args...), "")
}

// schema looks at the version of the tables. ready is whether they can be used.
func (e *examination) schema(ctx context.Context) (ready bool, err error) {
	s, err := migrate.StatusOf(ctx, e.d.Backend)
	switch {
	case err != nil:
		return false, err
	case s.Version > s.Latest && !s.Usable():
		e.report(Problem, fmt.Sprintf("the tables are at version %d and need a program that has migration %d, this one has migrations up to %d", s.Version, s.Oldest, s.Latest),
			"install a newer release of this program, and of the library")
	case s.Version == 0:
		e.reportAction(Problem, "there are no tables", "create them, or name the right schema", CreateTables)
	case len(s.Pending) > 0:
		e.reportAction(Problem, fmt.Sprintf("the tables are at version %d of %d", s.Version, s.Latest), "migrate them", Migrate)
	case s.Renamed:
		e.reportAction(Problem, "the schema was renamed, or restored under another name, and its functions name the old one", "migrate them", Rename)
	case s.Version > s.Latest:
		e.good("the tables are at version %d, newer than this program, which works with them", s.Version)
		return true, nil
	default:
		e.good("the tables are up to date, at version %d", s.Version)
		return true, nil
	}
	return false, nil
}

// inside are the checks of a store whose tables are there.
func (e *examination) inside() []check {
	list := []check{{"objects", e.objects}}
	if e.d.Kind == database.PostgreSQL {
		list = append(list, check{"privileges", e.privileges}, check{"positions", e.backlog}, check{"dead-rows", e.bloat})
	}
	return append(list, check{"subscriptions", e.subscriptions}, check{"projections", e.projections})
}

// unfinished reports an import that is unfinished.
func (e *examination) unfinished(ctx context.Context) error {
	u, err := transfer.Find(ctx, e.d)
	if err == nil && u != nil {
		e.reportAction(Problem, u.String(), transfer.Advice, FinishImport)
	}
	return err
}

// objects looks for indexes, triggers and functions that are missing, or switched off.
func (e *examination) objects(ctx context.Context) error {
	there := map[string]bool{}
	err := e.each(ctx, "objects", nil, func(rows *sql.Rows) error {
		var name string
		var usable bool
		err := rows.Scan(&name, &usable)
		there[name] = usable
		return err
	})
	if err != nil {
		return err
	}
	bad := 0
	for _, name := range expected(e.d) {
		switch usable, found := there[name]; {
		case !found:
			bad++
			e.report(Problem, name+" is missing", "somebody has dropped it: create it again as in the library's migrations, or restore a backup")
		case !usable:
			bad++
			e.report(Problem, name+" is switched off, or invalid", "enable the trigger, or rebuild the index with `reindex`")
		}
	}
	if bad == 0 {
		e.good("indexes, triggers and functions are there")
	}
	return nil
}

func (e *examination) subscriptions(ctx context.Context) error {
	es := store.New(e.d.Backend, nil)
	list, err := es.Subscriptions(ctx)
	if err != nil {
		return err
	}
	lost, err := e.histories(ctx)
	if err != nil {
		return err
	}
	bad := e.judge(list, nil)
	if lost+bad == 0 {
		e.good("%d; each moves or is at the end, and has parked nothing", len(list))
	}
	return nil
}

func (e *examination) projections(ctx context.Context) error {
	es := store.New(e.d.Backend, nil)
	list, err := es.Projections(ctx)
	if err != nil {
		return err
	}
	if e.judge(nil, list) == 0 {
		e.good("%d; each moves or is at the end, and has parked nothing", len(list))
	}
	return nil
}

// judge reports what package health finds wrong with subscriptions and projections, and returns how many findings there are.
func (e *examination) judge(subscriptions []store.SubscriptionInfo, projections []store.ProjectionInfo) int {
	found := health.Judge(subscriptions, projections, health.Limits{Stalled: e.o.Long, Idle: e.o.Lag - 1})
	for _, f := range found {
		what := f.What
		if f.Error != "" {
			what += ": " + f.Error
		}
		e.reportAction(f.Level, what, f.Advice, actionOn(f))
	}
	return len(found)
}

// actionOn returns what this program can do about a finding.
func actionOn(f health.Finding) Action {
	switch {
	case f.Kind == health.KindParked && f.Projection != "":
		return ProjectionParked
	case f.Kind == health.KindParked:
		return SubscriptionParked
	case f.Kind == health.KindIdle && f.Projection != "":
		return ProjectionDelete
	case f.Kind == health.KindIdle:
		return SubscriptionDelete
	}
	return ""
}

// each calls do for each row of a query.
func (e *examination) each(ctx context.Context, name string, args []any, do func(rows *sql.Rows) error) (err error) {
	rows, err := e.d.QueryContext(ctx, e.queries.Get(name), args...)
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

// Worst returns the highest level of findings.
func Worst(list []Finding) Level {
	worst := Good
	for _, f := range list {
		worst = max(worst, f.Level)
	}
	return worst
}
