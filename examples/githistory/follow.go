package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"github.com/eventstore-go/eventstore/store"
)

// The table that a subscription keeps: what commits_per_month has, changed after the events were committed and not
// with them. One row says how far it has come.
const (
	createFollowedSQL = `create table if not exists followed_per_month (
		author text not null, month text not null, commits bigint not null,
		primary key (author, month))`
	createPositionSQL = `create table if not exists followed_position (id bigint primary key, position bigint not null)`
	beginPositionSQL  = `insert into followed_position (id, position) values (1, 0) on conflict (id) do nothing`
	movePositionSQL   = `update followed_position set position = $1 where id = 1 and position = $2`
	positionSQL       = `select position from followed_position where id = 1`
	followSQL         = `insert into followed_per_month (author, month, commits) values ($1, $2, $3)
		on conflict (author, month) do update set commits = followed_per_month.commits + excluded.commits`
	followedSQL = `select author, month, commits from followed_per_month`
)

func createFollowed(ctx context.Context, db *sql.DB) error {
	for _, query := range []string{createFollowedSQL, createPositionSQL, beginPositionSQL} {
		if _, err := db.ExecContext(ctx, query); err != nil {
			return err
		}
	}
	return nil
}

// errAnotherFollower says that the position has moved under this one: it was paused, and another has taken over.
var errAnotherFollower = errors.New("another follower has moved on")

// follow keeps the table up to date until ctx ends, while others import. Wherever it is killed, the next one goes on with
// the table right: events come at least once, and what it has counted already is known by the position, which is
// changed in one transaction with the counts.
func (h *history) follow(ctx context.Context, out io.Writer) error {
	err := h.countAll(ctx, out)
	if ctx.Err() != nil {
		return nil // interrupted, wherever it was
	}
	return err
}

func (h *history) countAll(ctx context.Context, out io.Writer) error {
	if err := createFollowed(ctx, h.db); err != nil {
		return err
	}
	sub, err := h.es.Subscribe(ctx, store.All, "commits-per-month", &store.SubscribeOptions{
		BufferSize: h.batchSize,
		Filter:     store.EventFilter{StreamPrefix: streamPrefix},
	})
	if err != nil {
		return err
	}
	defer sub.Close() //nolint:errcheck // what is not acknowledged comes again, and is known then
	for {
		events, err := sub.Next(ctx)
		switch {
		case errors.Is(err, store.ErrLeaseLost):
			continue // another follower has taken over; this one waits
		case err != nil:
			return err
		}
		position, err := h.count(ctx, events)
		if errors.Is(err, errAnotherFollower) {
			if err := sub.Nack(ctx, events...); err != nil && !errors.Is(err, store.ErrLeaseLost) {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		h.followed("counted")
		if err := sub.Ack(context.WithoutCancel(ctx), events...); err != nil && !errors.Is(err, store.ErrLeaseLost) {
			return err
		}
		if _, err := fmt.Fprintf(out, "%d events counted\n", position); err != nil {
			return err
		}
	}
}

// count counts the events that were not counted before, and returns the position it has come to.
func (h *history) count(ctx context.Context, events []store.Recorded) (position int64, err error) {
	err = h.es.InTx(ctx, func(tx *sql.Tx) error {
		var before int64
		if err := tx.QueryRowContext(ctx, positionSQL).Scan(&before); err != nil {
			return err
		}
		position = before
		counts := map[key]int64{}
		for _, e := range events {
			if e.Number <= before {
				continue // it comes again
			}
			counts[keyOf(e.Stream, e.CreatedAt)]++
			position = e.Number
		}
		if position == before {
			return nil
		}
		if err := changeCounts(ctx, tx, followSQL, counts); err != nil {
			return err
		}
		h.followed("counting")
		result, err := tx.ExecContext(ctx, movePositionSQL, position, before)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 1 {
			return err
		}
		return errAnotherFollower
	})
	if errors.Is(err, store.ErrRetryTx) {
		err = errAnotherFollower
	}
	return position, err
}
