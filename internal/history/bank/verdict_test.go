package bank_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

// balance is what the events, or the projection, say of an account.
type balance struct {
	cents, applied, version int64
}

// truth folds the events of the bank, but for those that are parked.
func (s *stage) truth(parked map[string]int64) (accounts map[string]balance, events int64) {
	s.Helper()
	accounts = map[string]balance{}
	for e, err := range s.es.All(s.Context(), &store.ReadOptions{PageSize: 10_000}) {
		require.NoError(s, err)
		m, err := store.Decode[moved](e)
		require.NoError(s, err)
		events++
		if first, ok := parked[e.Stream]; ok && e.Version >= first {
			continue
		}
		b := accounts[e.Stream]
		accounts[e.Stream] = balance{b.cents + m.Cents, b.applied + 1, e.Version}
	}
	return accounts, events
}

// parked returns the version from which on the events of an account are parked, and fails unless all are from there on
// and the first of them has failed.
func (s *stage) parked() (first map[string]int64, n int) {
	s.Helper()
	list, err := s.es.Parked(s.Context(), projection, nil)
	require.NoError(s, err)
	first, last := map[string]int64{}, map[string]int64{}
	for _, p := range list {
		if _, ok := first[p.Key]; !ok {
			first[p.Key], last[p.Key] = p.Version, p.Version-1
			require.True(s, p.Failed, "%s@%d is parked first, and has not failed", p.Key, p.Version)
		}
		require.Equal(s, last[p.Key]+1, p.Version, "%s: what is parked has a gap", p.Key)
		last[p.Key] = p.Version
	}
	for key, version := range last {
		info, err := s.es.StreamInfo(s.Context(), key)
		require.NoError(s, err)
		require.Equal(s, info.Version, version, "%s: what is behind parked events is parked", key)
	}
	return first, len(list)
}

// violations compares the balances with the events.
func (s *stage) violations() (list []string) {
	s.Helper()
	parked, _ := s.parked()
	want, events := s.truth(parked)
	if n := s.number(`select 2 * count(*) from journal`); n != events {
		list = append(list, fmt.Sprintf("the journal says that there are %d events, there are %d", n, events))
	}
	rows, err := s.db.QueryContext(s.Context(), `select account, cents, applied, version, disorder from balances`)
	require.NoError(s, err)
	defer rows.Close() //nolint:errcheck // Err is looked at
	have := map[string]balance{}
	for rows.Next() {
		var account string
		var b balance
		var disorder int64
		require.NoError(s, rows.Scan(&account, &b.cents, &b.applied, &b.version, &disorder))
		have[account] = b
		if disorder != 0 {
			list = append(list, fmt.Sprintf("%s: %d events were not applied as the next one", account, disorder))
		}
	}
	require.NoError(s, rows.Err())
	for _, account := range slices.Sorted(maps.Keys(want)) {
		if have[account] != want[account] {
			list = append(list, fmt.Sprintf("%s: the projection has %+v, the events say %+v", account, have[account], want[account]))
		}
	}
	for account := range have {
		if _, ok := want[account]; !ok {
			list = append(list, account+": the projection has it, and no event")
		}
	}
	return list
}

// drained waits until the projection has applied everything there is.
func (s *stage) drained() {
	s.Helper()
	head, err := s.es.Head(s.Context())
	require.NoError(s, err)
	s.eventually(fmt.Sprintf("the projection is at %d", head), func() bool {
		info, err := s.es.Projection(s.Context(), projection)
		return err == nil && len(info.Partitions) > 0 && info.Checkpoint() == head
	})
}

// clear empties the balances.
func clearBalances(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `truncate balances`)
	return err
}
