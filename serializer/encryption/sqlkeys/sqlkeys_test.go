package sqlkeys_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/eventstore-go/eventstore/backend/sqlite"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/serializer/encryption"
	"github.com/eventstore-go/eventstore/serializer/encryption/sqlkeys"
	"github.com/eventstore-go/eventstore/store"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

var masters = [][]byte{bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)}

// eachDatabase runs a test on every database. open makes the keys that another process would.
func eachDatabase(t *testing.T, test func(t *testing.T, db *sql.DB, prefix string, open func(masters ...[]byte) *sqlkeys.Keys)) {
	dbs := map[string]func(t *testing.T) (*sql.DB, string){
		"sqlite": func(t *testing.T) (*sql.DB, string) {
			db, err := sql.Open("sqlite", sqlite.Memory())
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, db.Close()) })
			return db, "app_"
		},
	}
	for _, driver := range pgtest.Drivers() {
		dbs[driver] = func(t *testing.T) (*sql.DB, string) {
			schema := pgtest.Schema(t)
			db := pgtest.Open(t, driver, pgtest.URL(t))
			_, err := db.ExecContext(t.Context(), `create schema `+schema)
			require.NoError(t, err)
			return db, schema + "."
		}
	}
	for name, open := range dbs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, prefix := open(t)
			test(t, db, prefix, func(masters ...[]byte) *sqlkeys.Keys {
				keys, err := sqlkeys.New(db, &sqlkeys.Options{MasterKeys: masters, Prefix: prefix})
				require.NoError(t, err)
				require.NoError(t, keys.Create(t.Context()))
				return keys
			})
		})
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, _ *sql.DB, _ string, open func(...[]byte) *sqlkeys.Keys) {
		keys, other := open(masters[0]), open(masters[0])
		_, err := keys.Key(t.Context(), "a", 1)
		require.ErrorIs(t, err, encryption.ErrNoKey)
		first, err := keys.Current(t.Context(), "a")
		require.NoError(t, err)
		assert.EqualValues(t, 1, first.ID)
		assert.NotZero(t, first.Secret)
		again, err := other.Current(t.Context(), "a")
		require.NoError(t, err)
		assert.Equal(t, first.Secret, again.Secret)
		b, err := keys.Current(t.Context(), "b")
		require.NoError(t, err)
		assert.NotEqual(t, first.Secret, b.Secret)

		second, err := other.Rotate(t.Context(), "a")
		require.NoError(t, err)
		assert.EqualValues(t, 2, second.ID)
		current, err := keys.Current(t.Context(), "a")
		require.NoError(t, err)
		assert.Equal(t, second, current)
		old, err := keys.Key(t.Context(), "a", 1)
		require.NoError(t, err)
		assert.Equal(t, first, old, "old keys stay")

		require.NoError(t, keys.Forget(t.Context(), "a"))
		require.NoError(t, keys.Forget(t.Context(), "nobody"))
		for id := range int64(2) {
			_, err = other.Key(t.Context(), "a", id+1)
			require.ErrorIs(t, err, encryption.ErrForgotten)
		}
		_, err = other.Key(t.Context(), "a", 3)
		require.ErrorIs(t, err, encryption.ErrNoKey)
		third, err := keys.Current(t.Context(), "a")
		require.NoError(t, err)
		assert.EqualValues(t, 3, third.ID, "ids are not used again")
		_, err = keys.Current(t.Context(), "b")
		require.NoError(t, err, "others stay")
	})
}

// TestForgetWithoutMasterKey: an operator's tool forgets a subject, and a program that has the master key can't read it any more.
func TestForgetWithoutMasterKey(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, db *sql.DB, prefix string, open func(...[]byte) *sqlkeys.Keys) {
		keys := open(masters[0])
		for _, subject := range []string{"a", "b"} {
			_, err := keys.Current(t.Context(), subject)
			require.NoError(t, err)
		}
		_, err := keys.Rotate(t.Context(), "a")
		require.NoError(t, err)

		had, deleted, err := sqlkeys.Forget(t.Context(), db, prefix, "a")
		require.NoError(t, err)
		assert.Equal(t, []int64{2, 2}, []int64{had, deleted})
		for id := range int64(2) {
			_, err = keys.Key(t.Context(), "a", id+1)
			require.ErrorIs(t, err, encryption.ErrForgotten)
		}
		_, err = keys.Key(t.Context(), "b", 1)
		require.NoError(t, err, "others stay")

		had, deleted, err = sqlkeys.Forget(t.Context(), db, prefix, "a")
		require.NoError(t, err)
		assert.Equal(t, []int64{2, 0}, []int64{had, deleted}, "again")
		had, deleted, err = sqlkeys.Forget(t.Context(), db, prefix, "nobody")
		require.NoError(t, err)
		assert.Zero(t, had+deleted)
		_, _, err = sqlkeys.Forget(t.Context(), db, "a b", "a")
		require.ErrorIs(t, err, store.ErrInvalid)
		var wrong *encryption.SubjectError
		_, _, err = sqlkeys.Forget(t.Context(), db, prefix, "")
		require.ErrorAs(t, err, &wrong)
		_, _, err = sqlkeys.Forget(t.Context(), db, prefix+"none_", "a")
		require.Error(t, err, "no table")
	})
}

func TestAllAtOnce(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, _ *sql.DB, _ string, open func(...[]byte) *sqlkeys.Keys) {
		var wg sync.WaitGroup
		got := make([]encryption.Key, 8)
		for i := range got {
			keys := open(masters[0])
			wg.Go(func() {
				var err error
				got[i], err = keys.Current(t.Context(), "a")
				assert.NoError(t, err)
			})
		}
		wg.Wait()
		for _, key := range got {
			assert.Equal(t, got[0], key, "all who ask at once get the same")
		}
	})
}

// TestCreateAtOnce: PostgreSQL lets some of those fail that create the same table, which is no failure.
func TestCreateAtOnce(t *testing.T) {
	t.Parallel()
	for range 10 {
		schema := pgtest.Schema(t)
		db := pgtest.Open(t, "pgx", pgtest.URL(t))
		_, err := db.ExecContext(t.Context(), `create schema `+schema)
		require.NoError(t, err)
		keys, err := sqlkeys.New(db, &sqlkeys.Options{MasterKeys: masters, Prefix: schema + "."})
		require.NoError(t, err)
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() { assert.NoError(t, keys.Create(t.Context())) })
		}
		wg.Wait()
	}
}

// TestEndedContext: a driver's own words for it are not enough.
func TestEndedContext(t *testing.T) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			schema := pgtest.Schema(t)
			db := pgtest.Open(t, driver, pgtest.URL(t))
			_, err := db.ExecContext(t.Context(), `create schema `+schema)
			require.NoError(t, err)
			keys, err := sqlkeys.New(db, &sqlkeys.Options{MasterKeys: masters, Prefix: schema + "."})
			require.NoError(t, err)
			require.NoError(t, keys.Create(t.Context()))
			tx, err := db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			defer tx.Rollback() //nolint:errcheck // it has locked only
			_, err = tx.ExecContext(t.Context(), `lock table `+schema+`.subject_keys in access exclusive mode`)
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			_, err = keys.Current(ctx, "a")
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
	}
}

// TestAllAtOnceAtRepeatableRead: there the database refuses all but one.
func TestAllAtOnceAtRepeatableRead(t *testing.T) {
	t.Parallel()
	schema := pgtest.Schema(t)
	u, err := url.Parse(pgtest.URL(t))
	require.NoError(t, err)
	q := u.Query()
	q.Set("default_transaction_isolation", "repeatable read")
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
	db := pgtest.Open(t, "pgx", u.String())
	_, err = db.ExecContext(t.Context(), `create schema `+schema)
	require.NoError(t, err)
	keys, err := sqlkeys.New(db, &sqlkeys.Options{MasterKeys: masters, Prefix: schema + "."})
	require.NoError(t, err)
	require.NoError(t, keys.Create(t.Context()))
	for i := range 50 {
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				_, err := keys.Current(t.Context(), fmt.Sprint("s-", i))
				assert.NoError(t, err)
			})
		}
		wg.Wait()
	}
}

func TestMasterKeys(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, _ *sql.DB, _ string, open func(...[]byte) *sqlkeys.Keys) {
		before, both, after := open(masters[0]), open(masters[1], masters[0]), open(masters[1])
		want := map[string]encryption.Key{}
		for i := range 1005 { // more than a page
			subject := fmt.Sprint("s-", i)
			var err error
			want[subject], err = before.Current(t.Context(), subject)
			require.NoError(t, err)
		}
		require.NoError(t, before.Forget(t.Context(), "s-7"))
		_, err := after.Key(t.Context(), "s-1", 1)
		var unfit *sqlkeys.MasterKeyError
		require.ErrorAs(t, err, &unfit)
		require.Equal(t, sqlkeys.MasterKeyError{Subject: "s-1", ID: 1}, *unfit)
		require.ErrorIs(t, err, sqlkeys.ErrMasterKey)
		require.NotErrorIs(t, err, encryption.ErrForgotten)
		key, err := both.Key(t.Context(), "s-1", 1)
		require.NoError(t, err)
		assert.Equal(t, want["s-1"], key)
		require.NoError(t, both.Rewrap(t.Context()))
		for subject, key := range want {
			got, err := after.Key(t.Context(), subject, 1)
			if subject == "s-7" {
				require.ErrorIs(t, err, encryption.ErrForgotten)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, key, got)
		}
	})
}

// TestRewrap: rows under the first master key stay as they are, and a bad one keeps no other from its turn.
func TestRewrap(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, db *sql.DB, prefix string, open func(...[]byte) *sqlkeys.Keys) {
		lost := bytes.Repeat([]byte{9}, 32)
		for subject, master := range map[string][]byte{"a": lost, "b": masters[0], "c": masters[1], "d": masters[0], "e": lost, "f": masters[0]} {
			_, err := open(master).Current(t.Context(), subject)
			require.NoError(t, err)
		}
		_, err := db.ExecContext(t.Context(), `update `+prefix+`subject_keys set secret = '?' where subject = 'd'`)
		require.NoError(t, err)
		rows := func() map[string]string {
			rows, err := db.QueryContext(t.Context(), `select subject, secret from `+prefix+`subject_keys`)
			require.NoError(t, err)
			defer rows.Close() //nolint:errcheck // rows.Err tells
			found := map[string]string{}
			for rows.Next() {
				var subject, secret string
				require.NoError(t, rows.Scan(&subject, &secret))
				found[subject] = secret
			}
			require.NoError(t, rows.Err())
			return found
		}
		before := rows()
		for range 2 {
			err := open(masters[1], masters[0]).Rewrap(t.Context())
			require.ErrorIs(t, err, sqlkeys.ErrMasterKey)
			for _, subject := range []string{"a", "d", "e"} {
				require.ErrorContains(t, err, fmt.Sprintf("%q", subject))
			}
			require.Equal(t, 2, strings.Count(err.Error(), "\n"), "those three and no others: %v", err)
			after := rows()
			for _, subject := range []string{"a", "c", "d", "e"} {
				assert.Equal(t, before[subject], after[subject], subject)
			}
			for _, subject := range []string{"b", "c", "f"} {
				_, err := open(masters[1]).Key(t.Context(), subject, 1)
				require.NoError(t, err)
			}
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, open(masters[0]).Rewrap(ended), context.Canceled)
	})
}

// TestRowsAreNotExchanged: a key in the row of another subject is of no use.
func TestRowsAreNotExchanged(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite", sqlite.Memory())
	require.NoError(t, err)
	defer db.Close() //nolint:errcheck // the test ends
	keys, err := sqlkeys.New(db, &sqlkeys.Options{MasterKeys: masters})
	require.NoError(t, err)
	require.NoError(t, keys.Create(t.Context()))
	for _, subject := range []string{"a", "b"} {
		_, err = keys.Current(t.Context(), subject)
		require.NoError(t, err)
	}
	_, err = db.ExecContext(t.Context(), `update subject_keys set secret = (select secret from subject_keys where subject = 'a') where subject = 'b'`)
	require.NoError(t, err)
	_, err = keys.Key(t.Context(), "b", 1)
	require.ErrorIs(t, err, sqlkeys.ErrMasterKey)
	_, err = db.ExecContext(t.Context(), `update subject_keys set secret = 'AAAA'`)
	require.NoError(t, err)
	_, err = keys.Current(t.Context(), "b")
	require.ErrorIs(t, err, sqlkeys.ErrMasterKey)
	_, err = db.ExecContext(t.Context(), `update subject_keys set secret = '?'`)
	require.NoError(t, err)
	_, err = keys.Current(t.Context(), "b")
	require.ErrorContains(t, err, "damaged")
}

func TestWrongOptions(t *testing.T) {
	t.Parallel()
	for _, opts := range []*sqlkeys.Options{
		nil, {}, {MasterKeys: [][]byte{{1}}}, {MasterKeys: masters, Prefix: "a b"}, {MasterKeys: masters, Prefix: "a;--"}, {MasterKeys: masters, Prefix: "a.b.c"},
	} {
		_, err := sqlkeys.New(nil, opts)
		require.ErrorIs(t, err, store.ErrInvalid, "%+v", opts)
	}
}
