package doctor

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"os"
)

//go:embed queries_sqlite.sql
var sqliteFile string

// sqlite are the checks of a file.
func (e *examination) sqlite() []check {
	e.queries = e.d.Queries(sqliteFile)
	return []check{{"settings", e.pragmas}, {"file", e.file}}
}

func (e *examination) pragmas(ctx context.Context) error {
	var version, journal string
	if err := e.d.QueryRowContext(ctx, e.queries.Get("version")).Scan(&version); err != nil {
		return err
	}
	if err := e.d.QueryRowContext(ctx, e.queries.Get("journal_mode")).Scan(&journal); err != nil {
		return err
	}
	if journal != "wal" {
		e.report(Warning, "the journal mode is "+journal, "readers wait for writers: open the file as sqlite.DSN says, which sets WAL mode")
		return nil
	}
	e.good("SQLite %s, in WAL mode", version)
	return nil
}

// bigLog is how long a write-ahead log may be before it is worth a warning.
const bigLog = 256 << 20

func (e *examination) file(ctx context.Context) error {
	before := len(e.found)
	err := e.each(ctx, "quick_check", nil, func(rows *sql.Rows) error {
		var what string
		if err := rows.Scan(&what); err != nil || what == "ok" {
			return err
		}
		e.report(Problem, "the file is damaged: "+what, "restore a backup; `sqlite3 FILE .recover` saves what can be read")
		return nil
	})
	if err != nil {
		return err
	}
	var free, pages int64
	if err := e.d.QueryRowContext(ctx, e.queries.Get("free")).Scan(&free, &pages); err != nil {
		return err
	}
	if free*2 > pages && pages > 1000 {
		e.report(Note, fmt.Sprintf("%d of %d pages of the file are free", free, pages), "`vacuum` makes it smaller")
	}
	if info, err := os.Stat(e.d.Path + "-wal"); err == nil && info.Size() > bigLog {
		e.report(Warning, fmt.Sprintf("the write-ahead log has %d MB", info.Size()>>20), "somebody reads in one transaction for long, so that it can't be emptied")
	}
	if len(e.found) == before {
		e.good("the file is sound, %d pages", pages)
	}
	return nil
}

// sqliteObjects are the indexes and triggers that the migrations create for a prefix.
func sqliteObjects(prefix string) (names []string) {
	for _, index := range []string{
		"parked_number_idx", "parked_failed_idx", "parked_stream_idx",
	} {
		names = append(names, "index "+prefix+index)
	}
	for _, trigger := range []string{
		"events_no_update", "events_no_delete", "links_no_update", "links_no_delete", "streams_no_delete", "streams_no_rename", "head_no_decrease", "head_no_delete", "epochs_no_decrease",
	} {
		names = append(names, "trigger "+prefix+trigger)
	}
	return names
}
