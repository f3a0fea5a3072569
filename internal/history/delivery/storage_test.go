package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/internal/history/delivery"
	"github.com/eventstore-go/eventstore/store"
)

// Faults of a storage.
const (
	noFencing  = "no fencing"
	bySequence = "by sequence"
	noAnswer   = "no answer" // not the storage's fault: the answer that grants the first lease is lost
)

// storage is what a consumer's Store gets.
func (c *consumer) storage() (store.Storage, error) {
	switch r := (&recorded{Backend: c.b, c: c}); c.Fault {
	case "":
		return r, nil
	case noFencing:
		r.save = c.saveUnfenced
		return r, nil
	case bySequence:
		r.save = c.saveUnfenced // the store has no event at these positions
		return &sequential{r}, nil
	case noAnswer:
		return &unanswered{recorded: r}, nil
	}
	return nil, fmt.Errorf("no such fault: %s", c.Fault)
}

// recorded notes the leases and the checkpoints of a consumer.
type recorded struct {
	*postgres.Backend

	c    *consumer
	save func(ctx context.Context, list []store.CheckpointRequest) ([]error, error) // nil: as the Backend does
}

func (r *recorded) AcquireLease(ctx context.Context, request store.LeaseRequest) (store.Lease, error) {
	lease, err := r.Backend.AcquireLease(ctx, request)
	if err != nil {
		return lease, err
	}
	r.c.mu.Lock()
	r.c.epochs[request.ID.Name] = lease.Epoch
	r.c.mu.Unlock()
	return lease, r.c.journal.Add(delivery.Line{Kind: delivery.Took, Subscription: request.ID.Name, Epoch: lease.Epoch})
}

func (r *recorded) SaveCheckpoint(ctx context.Context, request store.CheckpointRequest) error {
	refused, err := r.SaveCheckpoints(ctx, []store.CheckpointRequest{request})
	if err == nil && refused != nil {
		err = refused[0]
	}
	return err
}

func (r *recorded) SaveCheckpoints(ctx context.Context, list []store.CheckpointRequest) (refused []error, err error) {
	for _, request := range list {
		if err := r.note(delivery.Save, request, nil); err != nil {
			return nil, err
		}
	}
	if r.c.Hold {
		r.c.hold.Do(func() {
			<-r.c.told
			ctx = context.WithoutCancel(ctx) // it is for the database to refuse what comes late
		})
	}
	save := r.save
	if save == nil {
		save = r.Backend.SaveCheckpoints
	}
	refused, err = save(ctx, list)
	for i, request := range list {
		outcome := err
		if err == nil && refused != nil {
			outcome = refused[i]
		}
		if err := r.note(delivery.Saved, request, outcome); err != nil {
			return nil, err
		}
	}
	return refused, err
}

func (r *recorded) ReleaseLease(ctx context.Context, request store.CheckpointRequest) error {
	if err := r.note(delivery.Save, request, nil); err != nil {
		return err
	}
	err := r.Backend.ReleaseLease(ctx, request)
	if err := r.note(delivery.Saved, request, err); err != nil {
		return err
	}
	return err
}

func (r *recorded) note(kind delivery.Kind, request store.CheckpointRequest, err error) error {
	l := delivery.Line{Kind: kind, Subscription: request.ID.Name, Epoch: request.Epoch, Number: request.Checkpoint}
	if err != nil {
		l.Err = err.Error()
	}
	return r.c.journal.Add(l)
}

// unanswered is granted its first lease without being told.
type unanswered struct {
	*recorded

	granted atomic.Bool
}

func (u *unanswered) AcquireLease(ctx context.Context, request store.LeaseRequest) (store.Lease, error) {
	if u.granted.Load() {
		return u.recorded.AcquireLease(ctx, request)
	}
	_, err := u.Backend.AcquireLease(ctx, request)
	if err == nil {
		u.granted.Store(true)
		err = errors.New("no answer")
	}
	return store.Lease{}, err
}

// saveUnfenced saves checkpoints whatever the epoch.
func (c *consumer) saveUnfenced(ctx context.Context, list []store.CheckpointRequest) ([]error, error) {
	for _, r := range list {
		_, err := c.db.ExecContext(ctx, `update `+c.Schema+`.subscriptions set checkpoint = $3, updated_at = clock_timestamp()
			where stream = $1 and name = $2`, r.ID.Stream, r.ID.Name, r.Checkpoint)
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// sequential takes the number of an append for its position, and so delivers an append as soon as it sees it. It is
// for appends of one event each.
type sequential struct{ *recorded }

func (s *sequential) ReleaseLease(ctx context.Context, request store.CheckpointRequest) error {
	request.Checkpoint, request.Seen = 0, store.SeenEvent{}
	return s.recorded.ReleaseLease(ctx, request)
}

func (s *sequential) Head(ctx context.Context) (head int64, err error) {
	if _, err := s.recorded.Head(ctx); err != nil { // events get their positions, for what reads by them
		return 0, err
	}
	err = s.DB().QueryRowContext(ctx, `select coalesce(max(append_seq), 0) from `+s.c.Schema+`.events`).Scan(&head)
	return head, err
}

func (s *sequential) ReadAll(ctx context.Context, r store.ReadRequest) (page store.Part, err error) {
	rows, err := s.DB().QueryContext(ctx, `select e.append_seq, s.name, e.version, e.event_type, e.data
		from `+s.c.Schema+`.events e join `+s.c.Schema+`.streams s using (stream_id)
		where e.append_seq >= $1 order by e.append_seq limit $2`, r.From, r.Limit)
	if err != nil {
		return page, err
	}
	defer rows.Close() //nolint:errcheck // Err is looked at
	for rows.Next() {
		var e store.Recorded
		if err := rows.Scan(&e.Number, &e.Stream, &e.Version, &e.Type, &e.Data); err != nil {
			return page, err
		}
		page.Events = append(page.Events, e)
	}
	return page, rows.Err()
}
