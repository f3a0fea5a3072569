package store

import (
	"context"
	"database/sql"
	"io"
	"log/slog"
	"sync/atomic"

	"github.com/google/uuid"
)

// Store appends events to streams and reads them. It is safe for concurrent use. Make one per backend with [New] and
// keep it; [Store.WithTx] makes short-lived views of it.
type Store struct {
	storage  Storage
	codec    *codec
	notifier Notifier
	log      *slog.Logger
	hard     bool
	tx       *sql.Tx
	closed   *atomic.Bool
	err      error // why every call fails, or nil
}

// Options of a [Store]. The zero value of each field is its default.
type Options struct {
	// Serializer encodes and decodes the data of events. Default: encoding/json without a registry of types. Package
	// serializer has more.
	Serializer Serializer
	// MetadataSerializer does the same for metadata. Default: encoding/json.
	MetadataSerializer Serializer
	// Notifier is told of every commit that this process knows of. Default: none.
	Notifier Notifier
	// HardDelete enables [HardDelete].
	HardDelete bool
	// Logger gets what has no caller to return to. Default: nothing is logged.
	Logger *slog.Logger
}

// Notifier carries the hint that there may be new events. Hints may be late, repeated or lost: readers go by position.
type Notifier interface {
	// Notify is called after a commit. It must not block and may be called concurrently.
	Notify()
}

// New returns a Store on storage. It starts no goroutine and does not touch the database.
func New(storage Storage, opts *Options) *Store {
	if opts == nil {
		opts = &Options{}
	}
	s := &Store{
		storage:  storage,
		codec:    &codec{data: opts.Serializer, metadata: opts.MetadataSerializer},
		notifier: opts.Notifier,
		log:      opts.Logger,
		hard:     opts.HardDelete,
		closed:   new(atomic.Bool),
	}
	if s.codec.data == nil {
		s.codec.data = plainJSON{}
	}
	if s.codec.metadata == nil {
		s.codec.metadata = plainJSON{}
	}
	if s.notifier == nil {
		s.notifier = silent{}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

type silent struct{}

func (silent) Notify() {}

// Close makes every later call fail with [ErrClosed] and frees what the backend keeps, such as prepared statements. It
// does not close the *sql.DB, which is the caller's. Closing again does nothing. On a view made by WithTx it does nothing.
func (s *Store) Close() error {
	if s.tx != nil || s.closed.Swap(true) {
		return nil
	}
	if c, ok := s.storage.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// usable returns why the Store can't be used, or nil.
func (s *Store) usable(ctx context.Context) error {
	if s.closed.Load() {
		return ErrClosed
	}
	if s.err != nil {
		return s.err
	}
	return ctx.Err()
}

// committed tells the notifier of a commit, unless the commit is still the caller's to make.
func (s *Store) committed() {
	if s.tx == nil {
		s.notifier.Notify()
	}
}

// Event returns the event with the given id, with its Number set to its Version, or [ErrEventNotFound]. Events of
// soft-deleted streams are found.
func (s *Store) Event(ctx context.Context, id uuid.UUID) (Recorded, error) {
	if err := s.usable(ctx); err != nil {
		return Recorded{}, err
	}
	e, err := s.storage.ReadEvent(ctx, id)
	if err != nil {
		return Recorded{}, err
	}
	e.codec = s.codec
	return e, nil
}

// Head returns the position of the last event in [All], 0 if there never was one.
func (s *Store) Head(ctx context.Context) (int64, error) {
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	return s.storage.Head(ctx)
}
