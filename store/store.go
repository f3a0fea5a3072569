package store

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// Store appends events to streams and reads them. It is safe for concurrent use. Make one per backend with [New] and
// keep it; [Store.WithTx] makes short-lived views of it.
type Store struct {
	storage  Storage
	reads    Storage // the replica if there is one, else storage: for reads that may lag
	codec    *codec
	notifier Notifier
	hub      *hub // nil if the backend keeps no subscriptions
	log      *slog.Logger
	observer Observer // or nil
	newID    func() (uuid.UUID, error)
	now      func() time.Time // or nil: the database's clock
	hard     bool
	bytes    int  // of a page
	inTx     bool // over a transaction of the caller's

	replicated bool // reads is a replica
	closed     *atomic.Bool
	err        error // why every call fails, or nil
}

// Options of a [Store]. The zero value of each field is its default.
type Options struct {
	// Name is what people know this process by: it begins the owner of each lease that this Store takes, as lists show it. It
	// need not be unique. Default: the name of the host and the process id, as in "web-1:4711".
	Name string
	// Serializer encodes and decodes the data of events. Default: encoding/json without a registry of types. Package
	// serializer has more.
	Serializer Serializer
	// MetadataSerializer does the same for metadata. Default: encoding/json.
	MetadataSerializer Serializer
	// Notifier carries hints between processes that there may be new events, so that subscribers need not wait for their
	// next poll. Default: none. Within this Store subscribers hear of its commits at once.
	Notifier Notifier
	// PollInterval is how often an idle Store with subscribers looks for new events that nothing has hinted at, for links,
	// and for streams that were deleted. While there are new events it looks more often. Default: DefaultPollInterval.
	PollInterval time.Duration
	// LeaseTTL is how long another process waits before it takes over the subscriptions of one that has died, or can't
	// reach the database. Leases are renewed three times as often. Default: DefaultLeaseTTL.
	LeaseTTL time.Duration
	// PageBytes is how many bytes of data and metadata, as encoded, are fetched at a time at most, whatever number of events; an
	// event that is larger is fetched alone. Subscriptions queue twice as much at most, and what the feed of new events has sent them as
	// much as this; one call of Next, and so a batch of a projection, has no more. A long read has up to two more pages on their way.
	// Default: DefaultPageBytes.
	PageBytes int
	// HardDelete enables [HardDelete].
	HardDelete bool
	// Logger gets what no call returns: why handlers fail and what becomes of their events, panics with their stack, leases
	// lost, and what goes wrong in the background. It gets no data and no metadata, and each message at most ten times at once
	// and then every ten seconds. Default: slog.Default(). slog.New(slog.DiscardHandler) turns it off.
	Logger *slog.Logger
	// Observer is told what the Store does, for traces and metrics. Default: nobody is. Package store/telemetry has one for
	// OpenTelemetry.
	Observer Observer
	// NewID returns the id of an event that is appended without one. Each id must be new in the store: an append with one that is known fails
	// with [ErrDuplicateEvent], unless it is the very same append again. It may be called concurrently. Default: uuid.NewV7. Tests fix ids by
	// it, see storetest.IDs.
	NewID func() (uuid.UUID, error)
	// Now returns the CreatedAt of an event that is appended without one. It may be called concurrently. Leases, checkpoints and the order of
	// events do not depend on it. Default: the database's clock. Tests fix times by it, see storetest.Clock.
	Now func() time.Time
}

// Defaults of [Options].
const (
	DefaultPollInterval = time.Second
	DefaultLeaseTTL     = 15 * time.Second
)

// New returns a Store on storage. It does not touch the database, and starts no goroutine before there is a subscriber, or, with a Notifier
// or a replica, a commit, or, with a replica, a read of [All]. If the options don't fit the storage, every call on the Store returns an
// [InvalidError]; [Store.Check] also asks the database.
func New(storage Storage, opts *Options) *Store {
	if opts == nil {
		opts = &Options{}
	}
	s := &Store{
		storage:  storage,
		codec:    &codec{data: opts.Serializer, metadata: opts.MetadataSerializer},
		notifier: opts.Notifier,
		log:      opts.Logger,
		observer: opts.Observer,
		newID:    opts.NewID,
		now:      opts.Now,
		hard:     opts.HardDelete,
		bytes:    cmp.Or(opts.PageBytes, DefaultPageBytes),
		closed:   new(atomic.Bool),
	}
	if s.codec.data == nil {
		s.codec.data = plainJSON{}
	}
	if s.codec.metadata == nil {
		s.codec.metadata = plainJSON{}
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.err = checkCodec(storage, s.codec); s.err == nil && opts.Name != "" {
		s.err = checkText("Name", opts.Name, MaxName)
	}
	if s.bytes < 0 {
		s.err = &InvalidError{Field: "PageBytes", Reason: fmt.Sprintf("%d is negative", s.bytes)}
	}
	s.reads = storage
	if replica := replicaOf(storage); replica != nil {
		s.reads, s.replicated = replica, true
	}
	if in, ok := storage.(interface {
		Storage
		SubscriptionStorage
	}); ok {
		s.hub = newHub(s.newEnv(in, opts), opts.Notifier)
	}
	return s
}

// newEnv returns what the subscriptions of s share.
func (s *Store) newEnv(in subscribed, opts *Options) *env {
	e := &env{
		codec: s.codec, log: s.log, lines: newLines(s.log), observer: s.observer, owner: newOwner(opts.Name),
		leaseTTL: opts.LeaseTTL, pollEvery: opts.PollInterval, pageBytes: s.bytes,
	}
	var replica subscribed
	if r, ok := s.reads.(interface {
		Storage
		SubscriptionStorage
	}); ok && s.replicated {
		replica = r
	}
	e.use(in, replica)
	if e.leaseTTL <= 0 {
		e.leaseTTL = DefaultLeaseTTL
	}
	if e.pollEvery <= 0 {
		e.pollEvery = DefaultPollInterval
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e
}

// Check returns why the Store can't be used, for the start of a program: [ErrSchema] if the tables are missing or old, an
// [InvalidError] if a serializer encodes what their columns do not take, [ErrReplica] if there is a replica that can't be read, or what
// else the backend or the database says. At last it looks whether the database takes writes: [ErrReadOnly] says that it can be read only,
// as a standby can. It writes nothing. Without it the calls that meet with the reason return it.
func (s *Store) Check(ctx context.Context) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if c, ok := s.storage.(Checker); ok {
		if err := c.Check(ctx); err != nil {
			return err
		}
	}
	if err := checkCodec(s.storage, s.codec); err != nil {
		return err
	}
	if c, ok := s.reads.(Checker); ok && s.replicated {
		if err := c.Check(ctx); err != nil {
			return err
		}
	}
	if c, ok := s.storage.(WriteChecker); ok {
		return c.CheckWrites(ctx)
	}
	return nil
}

// Close makes every later call fail with [ErrClosed]. It ends all subscriptions in good order: their checkpoints are
// written and their leases given up, for which it waits. It ends what this Store began and nothing else: the backend, which other
// Stores may share, stays usable, and so does the *sql.DB, which must still be open. The error says what could not be written.
// Closing again does nothing. On a view made by WithTx or Bind it does nothing.
func (s *Store) Close() error {
	if s.inTx || s.closed.Swap(true) {
		return nil
	}
	if s.hub == nil {
		return nil
	}
	return s.hub.close()
}

// Owner returns what [SubscriptionInfo].Owner shows of the subscriptions and partitions that this Store runs: Options.Name, a slash, and a
// part that no other Store has. It is "" if the backend keeps no subscriptions.
func (s *Store) Owner() string {
	if s.hub == nil {
		return ""
	}
	return s.hub.owner
}

// Bind is [Store.WithTx] for a transaction that is no *sql.Tx. It is for packages that work with such transactions; applications call their
// functions, such as WithTx of package backend/postgres/pgxtx for a pgx.Tx. Bind calls bind once, with the backend of the Store. bind
// returns a Storage whose statements all run in the transaction, with the duties of [Transactional].WithTx. If bind returns an error, every
// call on the result fails with it.
func (s *Store) Bind(bind func(Storage) (Storage, error)) *Store { return s.bound(bind(s.storage)) }

// bound returns the same Store over a storage that is bound to a transaction, or, if err is not nil, one that fails with it.
func (s *Store) bound(storage Storage, err error) *Store {
	bound := *s
	bound.inTx = true
	if err != nil {
		bound.err = err
		return &bound
	}
	bound.storage, bound.reads, bound.replicated = storage, storage, false
	return &bound
}

// observe reports to the observer, if there is one, that an operation begins.
func (s *Store) observe(ctx context.Context, op Operation) (context.Context, func(Outcome)) {
	return observe(ctx, s.observer, op)
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
	if !s.inTx {
		s.notify()
	}
}

// notify lets subscribers look for new events, here and elsewhere.
func (s *Store) notify() {
	if s.notifier != nil {
		s.notifier.Notify()
	}
	if s.hub != nil {
		s.hub.committed()
	}
}

// placeSoon has the primary give positions to what was committed, in the background: a replica can't, and shows nothing in All before.
func (s *Store) placeSoon() {
	if s.replicated && s.hub != nil && s.hub.ticker != nil {
		s.hub.tickSoon()
	}
}

// Event returns the event with the given id, with its Number set to its Version, or [ErrEventNotFound]. Events of
// soft-deleted streams are found.
func (s *Store) Event(ctx context.Context, id uuid.UUID) (Recorded, error) {
	if err := s.usable(ctx); err != nil {
		return Recorded{}, err
	}
	e, err := s.reads.ReadEvent(ctx, id)
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
	s.placeSoon()
	return s.reads.Head(ctx)
}
