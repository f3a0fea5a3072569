package main

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"
)

// The table of commits per author and month. Its SQL is the same in both databases.
const (
	createSQL = `create table if not exists commits_per_month (
		author text not null, month text not null, commits bigint not null,
		primary key (author, month))`
	addSQL = `insert into commits_per_month (author, month, commits) values ($1, $2, $3)
		on conflict (author, month) do update set commits = commits_per_month.commits + excluded.commits`
	readSQL = `select author, month, commits from commits_per_month`
)

func createTable(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, createSQL)
	return err
}

// addCounts adds the counts to the table's rows, in one order, so that two programs don't lock each other out.
func addCounts(ctx context.Context, tx *sql.Tx, counts map[key]int64) error {
	return changeCounts(ctx, tx, addSQL, counts)
}

func changeCounts(ctx context.Context, tx *sql.Tx, query string, counts map[key]int64) error {
	keys := slices.SortedFunc(maps.Keys(counts), func(a, b key) int {
		return cmp.Or(cmp.Compare(a.author, b.author), cmp.Compare(a.month, b.month))
	})
	for _, k := range keys {
		if _, err := tx.ExecContext(ctx, query, k.author, k.month, counts[k]); err != nil {
			return err
		}
	}
	return nil
}

func readTable(ctx context.Context, db *sql.DB, query string) (map[key]int64, error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err has the error
	counts := map[key]int64{}
	for rows.Next() {
		var k key
		var n int64
		if err := rows.Scan(&k.author, &k.month, &n); err != nil {
			return nil, err
		}
		counts[k] = n
	}
	return counts, rows.Err()
}
