package transfer

import (
	"context"
	"errors"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
)

// Abandon removes all that an unfinished import has written, and lets the library write into the store again. The archive need
// not be there. If it is interrupted, the same call goes on. It returns what was cleared away, and ErrNoImport if nothing is
// unfinished.
func Abandon(ctx context.Context, d *database.Database) (Unfinished, error) {
	u, err := abandonAll(ctx, d, func() {})
	return u, cancelled(ctx, err)
}

// abandonAll is Abandon. It calls after behind each transaction.
func abandonAll(ctx context.Context, d *database.Database, after func()) (u Unfinished, err error) {
	if err := d.Check(ctx); err != nil {
		return u, err
	}
	t, err := newTarget(ctx, d)
	if err != nil {
		return u, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	s, found, err := t.progress(ctx)
	if err != nil {
		return u, err
	}
	if !found {
		return u, ErrNoImport
	}
	u = s.unfinished()
	if err := t.mark(ctx, s); err != nil {
		return u, err
	}
	for more := true; more; {
		if more, err = t.clear(ctx, s); err != nil {
			return u, err
		}
		after()
	}
	return u, t.clean(ctx, s)
}

// mark is target.mark: from here on the import does not go on.
func (t tx) mark(ctx context.Context, was state) error {
	now := was
	now.phase = abandon
	return t.write(ctx, was, now)
}

// clear is target.clear.
func (t tx) clear(ctx context.Context, s state) (more bool, err error) {
	found, err := t.names(ctx, t, "abandoned_streams", s.base, s.base+s.highest)
	if err != nil || len(found) == 0 {
		return false, err
	}
	return true, t.removeStreams(ctx, found)
}

// clean is target.clean.
func (t tx) clean(ctx context.Context, s state) error {
	if err := t.exec(ctx, "abandoned_snapshots"); err != nil {
		return err
	}
	if !s.merge {
		if err := t.exec(ctx, "abandoned_order"); err != nil {
			return err
		}
	}
	return t.end(ctx)
}
