package main

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"slices"

	"github.com/eventstore-go/eventstore/store"
)

var errAnotherRun = errors.New("another run stores the same commits: start again when it has ended")

// missing returns the hashes of the repository's commits that the store lacks, parents first. Commits are stored after
// their parents; so where one is there, its ancestors are, and are not looked for. (A shallow clone is taken for the
// whole history: what it fetches later of the time before is not looked for either.)
func (h *history) missing(ctx context.Context, repo repository) ([]string, error) {
	hashes, err := repo.hashes(ctx)
	if err != nil {
		return nil, err
	}
	var missing []string
	stored := map[string]bool{}
	for _, c := range hashes {
		if !stored[c.commit] {
			_, err := h.es.Event(ctx, eventID(c.commit))
			if errors.Is(err, store.ErrEventNotFound) {
				missing = append(missing, c.commit)
				continue
			}
			if err != nil {
				return nil, err
			}
		}
		for _, parent := range c.parents {
			stored[parent] = true
		}
	}
	slices.Reverse(missing)
	return missing, nil
}

// add stores the commits, a batch at a time, and calls done after each with its size. When it is killed, the batches
// before are stored, with their rows in the table, and the batch it was at is not there at all.
func (h *history) add(ctx context.Context, commits iter.Seq2[commit, error], done func(n int)) error {
	batch := make([]commit, 0, h.batchSize)
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		if err := h.addBatch(ctx, batch); err != nil {
			return err
		}
		done(len(batch))
		batch = batch[:0]
		return nil
	}
	for c, err := range commits {
		if err != nil {
			return err
		}
		if batch = append(batch, c); len(batch) == h.batchSize {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// addBatch appends the commits and changes the table, in one transaction. If the database wants it again, because
// another program writes to the same streams and rows in another order, it is run again.
func (h *history) addBatch(ctx context.Context, batch []commit) error {
	for {
		err := h.es.InTx(ctx, func(tx *sql.Tx) error {
			counts, err := appendAll(ctx, h.es.WithTx(tx), batch)
			if err != nil {
				return err
			}
			return addCounts(ctx, tx, counts)
		})
		if !errors.Is(err, store.ErrRetryTx) {
			return err
		}
	}
}

// appendAll appends the commits in their order, those of one author that follow each other at once, and counts them.
func appendAll(ctx context.Context, es *store.Store, batch []commit) (map[key]int64, error) {
	counts := map[key]int64{}
	for len(batch) > 0 {
		stream := batch[0].stream()
		var events []store.Event
		for len(batch) > 0 && batch[0].stream() == stream {
			events = append(events, batch[0].event())
			counts[keyOf(stream, batch[0].Time)]++
			batch = batch[1:]
		}
		res, err := es.Append(ctx, stream, store.Any, events...)
		if res.Retried || errors.Is(err, store.ErrDuplicateEvent) {
			return nil, errAnotherRun // not counted twice: the transaction is rolled back
		}
		if err != nil {
			return nil, err
		}
	}
	return counts, nil
}
