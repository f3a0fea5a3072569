package conformance

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

// binding breaks what is bound to a transaction.
func binding(bind func(tx *sql.Tx, bound *broken)) func(b *brokenTx) {
	return func(b *brokenTx) { b.bind = bind }
}

var errAborted = errors.New("current transaction is aborted")

var txFaults = []fault{
	{name: "commits-early", what: "an append ends the caller's transaction", tx: binding(func(tx *sql.Tx, bound *broken) {
		bound.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			res, err := bound.Storage.Append(ctx, r)
			_ = tx.Commit()
			return res, err
		}
	})},
	{name: "delete-commits-early", what: "a delete ends the caller's transaction", tx: binding(func(tx *sql.Tx, bound *broken) {
		bound.delete = func(ctx context.Context, r store.DeleteRequest) error {
			err := bound.Storage.Delete(ctx, r)
			_ = tx.Commit()
			return err
		}
	})},
	{name: "undelete-commits-early", what: "an undelete ends the caller's transaction", tx: binding(func(tx *sql.Tx, bound *broken) {
		bound.undelete = func(ctx context.Context, r store.UndeleteRequest) error {
			err := bound.Storage.Undelete(ctx, r)
			_ = tx.Commit()
			return err
		}
	})},
	{name: "link-commits-early", what: "a link ends the caller's transaction", tx: binding(func(tx *sql.Tx, bound *broken) {
		bound.link = func(ctx context.Context, r store.LinkRequest) (store.AppendResult, error) {
			res, err := bound.Storage.Link(ctx, r)
			_ = tx.Commit()
			return res, err
		}
	})},
	{name: "error-aborts", what: "after an error the caller's transaction can't be used", tx: binding(abortedByErrors)},
	{name: "reads-outside", what: "reads in a transaction do not see what it did", tx: func(b *brokenTx) {
		b.bind = func(_ *sql.Tx, bound *broken) {
			bound.readStream, bound.readEvent = b.Storage.ReadStream, b.Storage.ReadEvent
			bound.info, bound.list = b.Storage.StreamInfo, b.Storage.ListStreams
			bound.filtered = b.SubscriptionStorage.ReadFiltered
		}
	}},
	{name: "retry-unknown-in-tx", what: "a retry is not known in a transaction", tx: binding(func(_ *sql.Tx, bound *broken) {
		bound.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
			res, err := bound.Storage.Append(ctx, r)
			if res.Retried {
				return store.AppendResult{}, &store.DuplicateEventError{Stream: r.Stream, ID: r.Events[0].ID}
			}
			return res, err
		}
	})},
	{name: "rows-open-in-tx", what: "nothing can be linked in a transaction before a read has come to its end", tx: binding(func(_ *sql.Tx, bound *broken) {
		open := false
		bound.readStream = func(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
			page, err := bound.Storage.ReadStream(ctx, r)
			open = len(page.Events) == r.Limit
			return page, err
		}
		bound.link = func(ctx context.Context, r store.LinkRequest) (store.AppendResult, error) {
			if open {
				return store.AppendResult{}, errors.New("connection is busy")
			}
			return bound.Storage.Link(ctx, r)
		}
	})},
	{name: "ordered-by-stream", what: "$all has streams in the order of their names", tx: func(b *brokenTx) {
		b.rearranged(func(_ context.Context, list []store.Recorded) []store.Recorded {
			slices.SortStableFunc(list, func(x, y store.Recorded) int { return strings.Compare(x.Stream, y.Stream) })
			return renumbered(list)
		})
	}},
	{name: "empty-when-created", what: "a stream that is created while it is read is empty", tx: func(b *brokenTx) {
		b.readStream = func(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
			page, err := b.Storage.ReadStream(ctx, r)
			if _, e := b.Storage.StreamInfo(ctx, r.Stream); e == nil && errors.Is(err, store.ErrStreamNotFound) {
				return store.StreamPart{}, nil
			}
			return page, err
		}
	}},
	{name: "gone-when-replaced", what: "a stream that is replaced while it is read is not found", tx: func(b *brokenTx) {
		b.readStream = func(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
			was, err := b.Storage.StreamInfo(ctx, r.Stream)
			if err != nil {
				return store.StreamPart{}, err
			}
			page, err := b.Storage.ReadStream(ctx, r)
			if is, e := b.Storage.StreamInfo(ctx, r.Stream); e == nil && is.ID != was.ID {
				return store.StreamPart{}, &store.StreamError{Stream: r.Stream, Err: store.ErrStreamNotFound}
			}
			return page, err
		}
	}},
	{name: "large-append-cut-in-tx", what: "in a transaction the first 1,000 events of an append are written", tx: binding(func(_ *sql.Tx, bound *broken) {
		bound.requested(func(r *store.AppendRequest) { r.Events = r.Events[:min(len(r.Events), 1000)] })
	})},
	{name: "beside-an-ended-tx", what: "when the transaction has ended, calls go on without one", tx: func(b *brokenTx) {
		b.bind = func(_ *sql.Tx, bound *broken) {
			bound.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
				res, err := bound.Storage.Append(ctx, r)
				if errors.Is(err, sql.ErrTxDone) {
					return b.Storage.Append(ctx, r)
				}
				return res, err
			}
		}
	}},
	{name: "commit-lost", what: "InTx rolls back and says that it committed", tx: func(b *brokenTx) {
		b.commit = func(_ context.Context, tx *sql.Tx) error { return tx.Rollback() }
	}},
	{name: "dirty-reads", what: "everybody sees what a transaction does", tx: func(b *brokenTx) {
		var mu sync.Mutex
		var open store.Storage
		last := func(ctx context.Context) store.Storage {
			mu.Lock()
			defer mu.Unlock()
			if open != nil {
				if _, err := open.StreamInfo(ctx, "?"); !errors.Is(err, sql.ErrTxDone) {
					return open
				}
			}
			return b.Storage
		}
		b.bind = func(_ *sql.Tx, bound *broken) {
			mu.Lock()
			defer mu.Unlock()
			open = bound.Storage
		}
		b.readStream = func(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
			return last(ctx).ReadStream(ctx, r)
		}
		b.readEvent = func(ctx context.Context, id uuid.UUID) (store.Recorded, error) { return last(ctx).ReadEvent(ctx, id) }
		b.info = func(ctx context.Context, stream string) (store.StreamInfo, error) {
			return last(ctx).StreamInfo(ctx, stream)
		}
	}},
	{name: "readers-wait", what: "readers of $all wait for open transactions until they give up", tx: func(b *brokenTx) {
		open := &txs{}
		b.bind = open.bind
		b.readAll = func(ctx context.Context, r store.ReadRequest) (store.Part, error) {
			if open.any(ctx) {
				return store.Part{}, errors.New("lock timeout")
			}
			return b.Storage.ReadAll(ctx, r)
		}
	}},
	{name: "tx-context-not-looked-at", what: "calls in a transaction go on whatever their context says", store: func(c *careless) {
		c.append = func(ctx context.Context, stream string, e store.Expected, events []store.Event) (store.AppendResult, error) {
			return c.face.Append(context.WithoutCancel(ctx), stream, e, events...)
		}
	}},
	{name: "close-forgotten-in-tx", what: "a closed store goes on", store: func(c *careless) { c.close = func() error { return nil } }},
	{name: "hint-before-commit", what: "the notifier hears of an append before its commit", store: func(c *careless) {
		c.append = func(ctx context.Context, stream string, e store.Expected, events []store.Event) (store.AppendResult, error) {
			defer c.face.Committed()
			return c.face.Append(ctx, stream, e, events...)
		}
	}},
	{name: "error-commits", what: "InTx commits although the caller's function failed", store: func(c *careless) {
		c.inTx = func(ctx context.Context, f func(tx *sql.Tx) error) error {
			var failed error
			err := c.face.InTx(ctx, func(tx *sql.Tx) error {
				failed = f(tx)
				return nil
			})
			return errors.Join(failed, err)
		}
	}},
	{name: "panic-commits", what: "InTx commits although the caller's function panicked", store: func(c *careless) {
		c.inTx = func(ctx context.Context, f func(tx *sql.Tx) error) error {
			var panicked any
			err := c.face.InTx(ctx, func(tx *sql.Tx) error {
				defer func() { panicked = recover() }()
				return f(tx)
			})
			if panicked != nil {
				panic(panicked)
			}
			return err
		}
	}},
	{name: "end-not-told", what: "InTx returns what became of the transaction, and not that its context has ended", store: func(c *careless) {
		c.inTx = func(ctx context.Context, f func(tx *sql.Tx) error) error {
			if err := c.face.InTx(ctx, f); err == nil || ctx.Err() == nil {
				return err
			}
			return sql.ErrTxDone
		}
	}},
	{name: "end-commits", what: "InTx commits although its context has ended", store: func(c *careless) {
		c.inTx = func(ctx context.Context, f func(tx *sql.Tx) error) error {
			if err := c.face.InTx(context.WithoutCancel(ctx), f); err != nil {
				return err
			}
			return ctx.Err()
		}
	}},
	{name: "checkpoint-commits-early", what: "a checkpoint ends the caller's transaction", tx: binding(func(tx *sql.Tx, bound *broken) {
		bound.checkpoint = func(ctx context.Context, r store.CheckpointRequest) error {
			err := bound.SubscriptionStorage.SaveCheckpoint(ctx, r)
			_ = tx.Commit()
			return err
		}
	})},
	{name: "nested", what: "InTx in a transaction says that all is well", store: swallowing(store.ErrNoTransactions)},
}

// abortedByErrors makes every call on a transaction fail once one has failed.
func abortedByErrors(_ *sql.Tx, bound *broken) {
	var aborted error
	after := func(err error) error {
		if err != nil {
			aborted = errAborted
		}
		return err
	}
	bound.append = func(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
		if aborted != nil {
			return store.AppendResult{}, aborted
		}
		res, err := bound.Storage.Append(ctx, r)
		return res, after(err)
	}
	bound.link = func(ctx context.Context, r store.LinkRequest) (store.AppendResult, error) {
		if aborted != nil {
			return store.AppendResult{}, aborted
		}
		res, err := bound.Storage.Link(ctx, r)
		return res, after(err)
	}
	bound.delete = func(ctx context.Context, r store.DeleteRequest) error {
		if aborted != nil {
			return aborted
		}
		return after(bound.Storage.Delete(ctx, r))
	}
	bound.readStream = func(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
		if aborted != nil {
			return store.StreamPart{}, aborted
		}
		page, err := bound.Storage.ReadStream(ctx, r)
		return page, after(err)
	}
	bound.readEvent = func(ctx context.Context, id uuid.UUID) (store.Recorded, error) {
		if aborted != nil {
			return store.Recorded{}, aborted
		}
		e, err := bound.Storage.ReadEvent(ctx, id)
		return e, after(err)
	}
}
