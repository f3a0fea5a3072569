package commanded

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
)

// tables are the columns that are read.
var tables = map[string][]string{
	"streams":           {"stream_id", "stream_uuid", "stream_version", "created_at", "deleted_at"},
	"events":            {"event_id", "event_type", "causation_id", "correlation_id", "data", "metadata", "created_at"},
	"stream_events":     {"event_id", "stream_id", "stream_version", "original_stream_id", "original_stream_version"},
	"subscriptions":     {"stream_uuid", "subscription_name", "last_seen", "created_at"},
	"snapshots":         {"source_uuid", "source_version", "source_type", "data", "metadata", "created_at"},
	"schema_migrations": {"major_version", "minor_version", "patch_version"},
}

// column is what the catalog says of a column.
type column struct {
	dataType string
	readable bool
}

// catalog is what the server says of the tables.
type catalog struct {
	tables  map[string]bool
	columns map[string]column // by table.column
	user    string
	usable  bool // the schema
}

// check finds out whether the tables are there and may be read, and what type their data has. It names all that is missing at once,
// before anything else is read.
func (s *Source) check(ctx context.Context) error {
	s.parse("")
	return s.read(ctx, sql.LevelDefault, func(tx *sql.Tx) error {
		c, err := s.catalog(ctx, tx)
		if err != nil {
			return err
		}
		if missing := c.missing(); len(missing.Tables) > 0 || len(missing.Columns) > 0 {
			missing.Where, missing.Schema = s.where.String(), s.schema
			return missing
		}
		if unreadable := c.unreadable(); unreadable.Usage || len(unreadable.Tables) > 0 {
			unreadable.Where, unreadable.Schema = s.where.String(), s.schema
			return unreadable
		}
		if err := s.checkVersion(ctx, tx); err != nil {
			return err
		}
		if c.columns["events.data"].dataType != "bytea" {
			s.isJSON = true
			s.parse("::text")
		}
		s.dataType = c.dataType()
		return nil
	})
}

func (s *Source) catalog(ctx context.Context, tx *sql.Tx) (c catalog, err error) {
	c = catalog{tables: map[string]bool{}, columns: map[string]column{}}
	err = s.each(ctx, tx, "columns", func(rows *sql.Rows) error {
		var table, name string
		var found column
		if err := rows.Scan(&table, &name, &found.dataType, &c.user, &c.usable, &found.readable); err != nil {
			return err
		}
		c.tables[table], c.columns[table+"."+name] = true, found
		return nil
	}, s.schema)
	return c, err
}

// missing are tables and columns that are not there, or are of a type that can't be read.
func (c catalog) missing() *NotFoundError {
	e := &NotFoundError{}
	for _, table := range slices.Sorted(maps.Keys(tables)) {
		if !c.tables[table] {
			e.Tables = append(e.Tables, table)
			continue
		}
		for _, name := range tables[table] {
			found, ok := c.columns[table+"."+name]
			data := name == "data" || name == "metadata"
			if !ok || data && !slices.Contains([]string{"bytea", "json", "jsonb"}, found.dataType) {
				e.Columns = append(e.Columns, table+"."+name)
			}
		}
	}
	return e
}

// dataType is the type of the columns for data that takes most.
func (c catalog) dataType() string {
	of := func(name string) string { return c.columns[name].dataType }
	types := []string{of("events.data"), of("events.metadata"), of("snapshots.data"), of("snapshots.metadata")}
	for _, t := range []string{"bytea", "json"} {
		if slices.Contains(types, t) {
			return t
		}
	}
	return "jsonb"
}

// unreadable are tables of which some column may not be selected.
func (c catalog) unreadable() *RightsError {
	e := &RightsError{User: c.user, Usage: !c.usable}
	for _, table := range slices.Sorted(maps.Keys(tables)) {
		for _, name := range tables[table] {
			if !c.columns[table+"."+name].readable {
				e.Tables = append(e.Tables, table)
				break
			}
		}
	}
	return e
}

func (s *Source) checkVersion(ctx context.Context, tx *sql.Tx) error {
	var major, minor, patch int64
	err := s.each(ctx, tx, "version", func(rows *sql.Rows) error { return rows.Scan(&major, &minor, &patch) })
	if err == nil && major > 1 {
		err = &VersionError{Where: s.where.String(), Schema: s.schema, Version: fmt.Sprintf("%d.%d.%d", major, minor, patch)}
	}
	return err
}
