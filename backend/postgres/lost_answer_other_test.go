package postgres

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// TestLostAnswerToOtherWrites: no write that was done is reported as refused because it was sent twice.
func TestLostAnswerToOtherWrites(t *testing.T) {
	t.Parallel()
	id := store.SubscriptionID{Stream: "s", Name: "sub"}
	lease := func(l *lossy) store.Lease {
		l.t.Helper()
		lease, err := l.b.AcquireLease(l.t.Context(), store.LeaseRequest{ID: id, Owner: "me", TTL: 60e9, Create: true})
		require.NoError(l.t, err)
		return lease
	}
	checkpoint := func(l *lossy) store.SubscriptionInfo {
		l.t.Helper()
		list, err := l.b.ListSubscriptions(l.t.Context())
		require.NoError(l.t, err)
		require.Len(l.t, list, 1)
		return list[0]
	}
	for name, c := range map[string]struct {
		done  string
		write func(l *lossy) func() error // prepares, and returns what is to be sent
		check func(l *lossy)              // that it was done, and nothing else
		once  bool                        // it is not sent twice
		again bool                        // it is sent again, whatever the driver says
	}{
		"link": {done: doneCommit, once: true,
			write: func(l *lossy) func() error {
				events := named(2)
				_, err := l.direct.Append(l.t.Context(), "source", store.NoStream, events...)
				require.NoError(l.t, err)
				return func() error {
					_, err := l.es.Link(l.t.Context(), "target", store.NoStream, events[0].ID, events[1].ID)
					return err
				}
			},
			check: func(l *lossy) { assert.EqualValues(l.t, 2, l.version("target")) },
		},
		"soft delete": {done: doneCommit, once: true,
			write: func(l *lossy) func() error {
				return func() error { return l.es.Delete(l.t.Context(), "s", store.StreamExists, store.SoftDelete) }
			},
			check: func(l *lossy) {
				info, err := l.direct.StreamInfo(l.t.Context(), "s")
				require.NoError(l.t, err)
				assert.Equal(l.t, store.Deleted, info.Status())
			},
		},
		"hard delete": {done: doneCommit, once: true,
			write: func(l *lossy) func() error {
				return func() error { return l.es.Delete(l.t.Context(), "s", store.StreamExists, store.HardDelete) }
			},
			check: func(l *lossy) {
				_, err := l.direct.StreamInfo(l.t.Context(), "s")
				assert.ErrorIs(l.t, err, store.ErrStreamNotFound)
			},
		},
		"record snapshot": {done: doneInsert,
			write: func(l *lossy) func() error {
				return func() error {
					return l.es.RecordSnapshot(l.t.Context(), store.Snapshot{SourceID: "s", Version: 3, Type: "t", Data: 1})
				}
			},
			check: func(l *lossy) {
				s, err := l.direct.ReadSnapshot(l.t.Context(), "s")
				require.NoError(l.t, err)
				assert.EqualValues(l.t, 3, s.Version)
			},
		},
		"delete snapshot": {done: doneDelete,
			write: func(l *lossy) func() error {
				require.NoError(l.t, l.direct.RecordSnapshot(l.t.Context(), store.Snapshot{SourceID: "s", Version: 3, Type: "t", Data: 1}))
				return func() error { return l.es.DeleteSnapshot(l.t.Context(), "s") }
			},
			check: func(l *lossy) {
				_, err := l.direct.ReadSnapshot(l.t.Context(), "s")
				assert.ErrorIs(l.t, err, store.ErrSnapshotNotFound)
			},
		},
		"create lease": {done: doneInsert,
			write: func(l *lossy) func() error {
				return func() error {
					_, err := l.b.AcquireLease(l.t.Context(), store.LeaseRequest{ID: id, Owner: "me", TTL: 60e9, Create: true, Checkpoint: 1})
					return err
				}
			},
			check: func(l *lossy) { assert.EqualValues(l.t, 1, checkpoint(l).Checkpoint) },
		},
		"acquire lease": {done: doneUpdate,
			write: func(l *lossy) func() error {
				lease(l)
				return func() error {
					_, err := l.b.AcquireLease(l.t.Context(), store.LeaseRequest{ID: id, Owner: "me", TTL: 60e9})
					return err
				}
			},
			check: func(l *lossy) { assert.True(l.t, checkpoint(l).Held) },
		},
		"renew leases": {done: doneUpdate,
			write: func(l *lossy) func() error {
				lease(l)
				return func() error {
					list, err := l.b.RenewLeases(l.t.Context(), "me", 60e9)
					if err == nil {
						assert.Len(l.t, list, 1)
					}
					return err
				}
			},
			check: func(l *lossy) { assert.True(l.t, checkpoint(l).Held) },
		},
		"save checkpoint": {done: doneSelect,
			write: func(l *lossy) func() error {
				lease := lease(l)
				lease.Checkpoint = 1
				return func() error { return l.b.SaveCheckpoint(l.t.Context(), requestOf(lease)) }
			},
			check: func(l *lossy) { assert.EqualValues(l.t, 1, checkpoint(l).Checkpoint) },
		},
		"save checkpoints": {done: doneSelect,
			write: func(l *lossy) func() error {
				lease := lease(l)
				lease.Checkpoint = 1
				return func() error {
					refused, err := l.b.SaveCheckpoints(l.t.Context(), []store.CheckpointRequest{requestOf(lease)})
					return errors.Join(append(refused, err)...)
				}
			},
			check: func(l *lossy) { assert.EqualValues(l.t, 1, checkpoint(l).Checkpoint) },
		},
		"save error": {done: doneUpdate,
			write: func(l *lossy) func() error {
				lease := lease(l)
				return func() error { return l.b.SaveError(l.t.Context(), id, lease.Epoch, "oops", 0) }
			},
			check: func(l *lossy) { assert.Equal(l.t, "oops", checkpoint(l).LastError) },
		},
		// Once, since another owner may have the lease before it is sent again.
		"release lease": {done: doneCommit, once: true,
			write: func(l *lossy) func() error {
				lease := lease(l)
				lease.Checkpoint = 1
				return func() error { return l.b.ReleaseLease(l.t.Context(), requestOf(lease)) }
			},
			check: func(l *lossy) { assert.False(l.t, checkpoint(l).Held) },
		},
		"reset subscription": {done: doneSelect,
			write: func(l *lossy) func() error {
				lease(l)
				return func() error { return l.b.ResetSubscription(l.t.Context(), id, 1, 0) }
			},
			check: func(l *lossy) { assert.EqualValues(l.t, 1, checkpoint(l).Checkpoint) },
		},
		"delete subscription": {done: doneCommit, once: true,
			write: func(l *lossy) func() error {
				lease(l)
				return func() error { return l.b.DeleteSubscription(l.t.Context(), id) }
			},
			check: func(l *lossy) {
				list, err := l.b.ListSubscriptions(l.t.Context())
				require.NoError(l.t, err)
				assert.Empty(l.t, list)
			},
		},
		"tick": {done: doneSelect, again: true,
			write: func(l *lossy) func() error {
				return func() error { _, err := l.b.Tick(l.t.Context()); return err }
			},
			check: func(l *lossy) {
				assert.EqualValues(l.t, 2, number(l.t, l.b, `select sum(appends) from /*schema.*/log`))
			},
		},
	} {
		for _, driver := range pgtest.Drivers() {
			t.Run(driver+"/"+name, func(t *testing.T) {
				t.Parallel()
				l := newLossy(t, driver, Options{}, nil)
				_, err := l.direct.Append(t.Context(), "s", store.NoStream, fresh(1)...)
				require.NoError(t, err)
				write := c.write(l)
				err = l.losing(c.done, write)
				if c.again || l.resent && !c.once {
					require.NoError(t, err)
				} else {
					unknown(t, err)
				}
				c.check(l)
			})
		}
	}
}

// requestOf asks for the checkpoint that a lease was taken with.
func requestOf(l store.Lease) store.CheckpointRequest {
	return store.CheckpointRequest{ID: l.ID, Epoch: l.Epoch, Checkpoint: l.Checkpoint, StreamID: l.StreamID}
}
