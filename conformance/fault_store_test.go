package conformance

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

// appending makes every append change its events.
func appending(change func(e *store.Event)) func(c *careless) {
	return func(c *careless) {
		c.append = func(ctx context.Context, stream string, e store.Expected, events []store.Event) (store.AppendResult, error) {
			events = append([]store.Event(nil), events...)
			for i := range events {
				change(&events[i])
			}
			return c.face.Append(ctx, stream, e, events...)
		}
	}
}

// targeting makes every write change its stream and expected version.
func targeting(change func(stream string, e store.Expected) (string, store.Expected)) func(c *careless) {
	return func(c *careless) {
		c.append = func(ctx context.Context, stream string, e store.Expected, events []store.Event) (store.AppendResult, error) {
			stream, e = change(stream, e)
			return c.face.Append(ctx, stream, e, events...)
		}
		c.link = func(ctx context.Context, stream string, e store.Expected, ids []uuid.UUID) (store.AppendResult, error) {
			stream, e = change(stream, e)
			return c.face.Link(ctx, stream, e, ids...)
		}
		c.delete = func(ctx context.Context, stream string, e store.Expected, kind store.DeleteKind) error {
			stream, e = change(stream, e)
			return c.face.Delete(ctx, stream, e, kind)
		}
		c.undelete = func(ctx context.Context, stream string, e store.Expected) error {
			stream, e = change(stream, e)
			return c.face.Undelete(ctx, stream, e)
		}
	}
}

// ranging replaces what is yielded: each event and error is given to through, which says whether to go on.
func ranging(through func(e store.Recorded, err error, yield func(store.Recorded, error) bool) bool) func(c *careless) {
	return func(c *careless) {
		c.stream = func(ctx context.Context, stream string, o *store.ReadOptions) iter.Seq2[store.Recorded, error] {
			return func(yield func(store.Recorded, error) bool) {
				for e, err := range c.face.Stream(ctx, stream, o) {
					if !through(e, err, yield) {
						return
					}
				}
			}
		}
	}
}

// swallowing makes every call on the Store succeed where it should have failed with is.
func swallowing(is error) func(c *careless) {
	swallow := func(err error) error {
		if errors.Is(err, is) {
			return nil
		}
		return err
	}
	return func(c *careless) {
		ranging(func(e store.Recorded, err error, yield func(store.Recorded, error) bool) bool {
			return !errors.Is(err, is) && yield(e, err)
		})(c)
		c.append = func(ctx context.Context, stream string, e store.Expected, events []store.Event) (store.AppendResult, error) {
			res, err := c.face.Append(ctx, stream, e, events...)
			return res, swallow(err)
		}
		c.link = func(ctx context.Context, stream string, e store.Expected, ids []uuid.UUID) (store.AppendResult, error) {
			res, err := c.face.Link(ctx, stream, e, ids...)
			return res, swallow(err)
		}
		c.delete = func(ctx context.Context, stream string, e store.Expected, kind store.DeleteKind) error {
			return swallow(c.face.Delete(ctx, stream, e, kind))
		}
		c.undelete = func(ctx context.Context, stream string, e store.Expected) error {
			return swallow(c.face.Undelete(ctx, stream, e))
		}
		c.page = func(ctx context.Context, stream string, o *store.ReadOptions) ([]store.Recorded, error) {
			page, err := c.face.Page(ctx, stream, o)
			return page, swallow(err)
		}
		c.event = func(ctx context.Context, id uuid.UUID) (store.Recorded, error) {
			e, err := c.face.Event(ctx, id)
			return e, swallow(err)
		}
		c.head = func(ctx context.Context) (int64, error) {
			head, err := c.face.Head(ctx)
			return head, swallow(err)
		}
		c.info = func(ctx context.Context, stream string) (store.StreamInfo, error) {
			info, err := c.face.StreamInfo(ctx, stream)
			return info, swallow(err)
		}
		c.streams = func(ctx context.Context, o *store.ListOptions) (store.StreamPage, error) {
			page, err := c.face.Streams(ctx, o)
			return page, swallow(err)
		}
		c.inTx = func(ctx context.Context, f func(tx *sql.Tx) error) error { return swallow(c.face.InTx(ctx, f)) }
	}
}

// repaired is what a careless database could make of a name.
func repaired(name string, most int) string {
	name = strings.ToValidUTF8(strings.ReplaceAll(name, "\x00", ""), "")
	if name == "" {
		return "unnamed"
	}
	return name[:min(len(name), most)]
}

var storeFaults = []fault{
	{name: "zero-expected-is-any", what: "an expected version that was not set means any", store: targeting(func(stream string, e store.Expected) (string, store.Expected) {
		if e.IsZero() {
			e = store.Any
		}
		return stream, e
	})},
	{name: "names-not-checked", what: "names are made to fit", store: targeting(func(stream string, e store.Expected) (string, store.Expected) {
		return repaired(stream, store.MaxStreamName), e
	})},
	{name: "reserved-not-checked", what: "a $ is no reason not to write", store: targeting(func(stream string, e store.Expected) (string, store.Expected) {
		return repaired(strings.TrimPrefix(stream, "$"), len(stream)), e
	})},
	{name: "types-not-checked", what: "types are made to fit", store: appending(func(e *store.Event) { e.Type = repaired(e.Type, store.MaxType) })},
	{name: "metadata-not-checked", what: "metadata that are too long are dropped", store: appending(func(e *store.Event) {
		if text, is := e.Metadata.(string); is && len(text) > store.MaxMetadata-2 {
			e.Metadata = nil
		}
	})},
	{name: "data-not-checked", what: "data that are too long, or can't be encoded, are dropped", store: appending(func(e *store.Event) {
		switch data := e.Data.(type) {
		case []byte:
			if len(data) > store.MaxData {
				e.Data = []byte{}
			}
		case chan int:
			e.Data = nil
		}
	})},
	{name: "times-not-checked", what: "times out of bounds are dropped", store: appending(func(e *store.Event) {
		if y := e.CreatedAt.Year(); y < 1 || y > 9999 {
			e.CreatedAt = time.Time{}
		}
	})},
	{name: "random-ids", what: "ids that the store draws do not rise", store: appending(func(e *store.Event) {
		if e.ID == uuid.Nil {
			e.ID = uuid.New()
		}
	})},
	{name: "invalid-passes", what: "what can't be meant is taken for nothing", store: swallowing(store.ErrInvalid)},
	{name: "kind-not-checked", what: "a delete that is not hard is soft", store: func(c *careless) {
		c.delete = func(ctx context.Context, stream string, e store.Expected, kind store.DeleteKind) error {
			if kind != store.HardDelete {
				kind = store.SoftDelete
			}
			return c.face.Delete(ctx, stream, e, kind)
		}
	}},
	{name: "lost-position-passes", what: "a reader that has seen more than there is finds nothing new", store: swallowing(store.ErrPositionLost)},
	{name: "cancelled-read-ends", what: "a cancelled read ends as if the stream ended there", store: ranging(
		func(e store.Recorded, err error, yield func(store.Recorded, error) bool) bool {
			return !errors.Is(err, context.Canceled) && yield(e, err)
		})},
	{name: "error-repeated", what: "a read yields its error twice", store: ranging(
		func(e store.Recorded, err error, yield func(store.Recorded, error) bool) bool {
			return yield(e, err) && (err == nil || yield(e, err))
		})},
	{name: "decoded-early", what: "a read fails at an event that does not decode", store: ranging(
		func(e store.Recorded, err error, yield func(store.Recorded, error) bool) bool {
			var data []byte
			if e.Type == "bad" && err == nil {
				if err = e.Decode(&data); err != nil {
					e = store.Recorded{}
				}
			}
			return yield(e, err) && err == nil
		})},
	{name: "ranged-once", what: "a read can be ranged over once", store: func(c *careless) {
		c.stream = func(ctx context.Context, stream string, o *store.ReadOptions) iter.Seq2[store.Recorded, error] {
			used := false
			return func(yield func(store.Recorded, error) bool) {
				if !used {
					used = true
					c.face.Stream(ctx, stream, o)(yield)
				}
			}
		}
	}},
	{name: "rows-left-open", what: "nothing can be linked while a read goes on", store: func(c *careless) {
		var open atomic.Int64
		c.stream = func(ctx context.Context, stream string, o *store.ReadOptions) iter.Seq2[store.Recorded, error] {
			return func(yield func(store.Recorded, error) bool) {
				open.Add(1)
				defer open.Add(-1)
				c.face.Stream(ctx, stream, o)(yield)
			}
		}
		c.link = func(ctx context.Context, stream string, e store.Expected, ids []uuid.UUID) (store.AppendResult, error) {
			if open.Load() > 0 {
				return store.AppendResult{}, errors.New("connection is busy")
			}
			return c.face.Link(ctx, stream, e, ids...)
		}
	}},
	{name: "context-not-looked-at", what: "calls go on whatever their context says", store: func(c *careless) {
		c.append = func(ctx context.Context, stream string, e store.Expected, events []store.Event) (store.AppendResult, error) {
			return c.face.Append(context.WithoutCancel(ctx), stream, e, events...)
		}
		c.link = func(ctx context.Context, stream string, e store.Expected, ids []uuid.UUID) (store.AppendResult, error) {
			return c.face.Link(context.WithoutCancel(ctx), stream, e, ids...)
		}
		c.delete = func(ctx context.Context, stream string, e store.Expected, kind store.DeleteKind) error {
			return c.face.Delete(context.WithoutCancel(ctx), stream, e, kind)
		}
		c.undelete = func(ctx context.Context, stream string, e store.Expected) error {
			return c.face.Undelete(context.WithoutCancel(ctx), stream, e)
		}
		c.stream = func(ctx context.Context, stream string, o *store.ReadOptions) iter.Seq2[store.Recorded, error] {
			return c.face.Stream(context.WithoutCancel(ctx), stream, o)
		}
		c.page = func(ctx context.Context, stream string, o *store.ReadOptions) ([]store.Recorded, error) {
			return c.face.Page(context.WithoutCancel(ctx), stream, o)
		}
		c.event = func(ctx context.Context, id uuid.UUID) (store.Recorded, error) {
			return c.face.Event(context.WithoutCancel(ctx), id)
		}
		c.head = func(ctx context.Context) (int64, error) { return c.face.Head(context.WithoutCancel(ctx)) }
		c.info = func(ctx context.Context, stream string) (store.StreamInfo, error) {
			return c.face.StreamInfo(context.WithoutCancel(ctx), stream)
		}
		c.streams = func(ctx context.Context, o *store.ListOptions) (store.StreamPage, error) {
			return c.face.Streams(context.WithoutCancel(ctx), o)
		}
	}},
	{name: "close-forgotten", what: "a closed store goes on", store: func(c *careless) { c.close = func() error { return nil } }},
	closesStorage(),
	{name: "close-twice-fails", what: "a store can be closed once", store: func(c *careless) {
		closed := false
		c.close = func() error {
			if closed {
				return store.ErrClosed
			}
			closed = true
			return c.face.Close()
		}
	}},
	{name: "hint-for-each-call", what: "the notifier hears of each write, whether it succeeded or not", store: func(c *careless) {
		c.append = func(ctx context.Context, stream string, e store.Expected, events []store.Event) (store.AppendResult, error) {
			defer c.face.Committed()
			return c.face.Append(ctx, stream, e, events...)
		}
		c.link = func(ctx context.Context, stream string, e store.Expected, ids []uuid.UUID) (store.AppendResult, error) {
			defer c.face.Committed()
			return c.face.Link(ctx, stream, e, ids...)
		}
		c.delete = func(ctx context.Context, stream string, e store.Expected, kind store.DeleteKind) error {
			defer c.face.Committed()
			return c.face.Delete(ctx, stream, e, kind)
		}
		c.undelete = func(ctx context.Context, stream string, e store.Expected) error {
			defer c.face.Committed()
			return c.face.Undelete(ctx, stream, e)
		}
	}},
	{name: "commit-not-passed-on", what: "the notifier does not hear of the caller's commits", store: func(c *careless) { c.hint = func() {} }},
	{name: "beside-the-transaction", what: "a store over a transaction works without one", store: swallowing(store.ErrNoTransactions)},
}

// closesStorage is the fault that a closed store takes the storage with it.
func closesStorage() fault {
	var gone atomic.Bool // of the trial that runs
	return fault{name: "close-closes-storage", what: "closing a store closes the storage that others use",
		storage: func(b *broken) {
			gone.Store(false)
			b.readStream = func(ctx context.Context, r store.ReadRequest) (store.StreamPart, error) {
				if gone.Load() {
					return store.StreamPart{}, store.ErrClosed
				}
				return b.Storage.ReadStream(ctx, r)
			}
		},
		store: func(c *careless) {
			c.close = func() error {
				gone.Store(true)
				return c.face.Close()
			}
		}}
}
