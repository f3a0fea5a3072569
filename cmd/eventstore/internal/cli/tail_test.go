package cli

import (
	"bufio"
	"database/sql"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// TestTailReplaced: tail prints the events of a stream that was hard deleted and created again, whether it has seen the name
// without a stream or not.
func TestTailReplaced(t *testing.T) {
	t.Parallel()
	for _, filter := range []store.EventFilter{{}, {Types: []string{"t"}}} {
		path := filepath.Join(t.TempDir(), "events.db")
		location, err := database.Parse(path)
		require.NoError(t, err)
		d, err := database.Open(location, database.Options{Create: true})
		require.NoError(t, err)
		defer d.Close() //nolint:errcheck // the test's
		require.NoError(t, migrate.Up(t.Context(), d.Backend))
		es := store.New(d.Backend, &store.Options{HardDelete: true})
		fill := func(es *store.Store, n int) {
			t.Helper()
			for range n {
				_, err := es.Append(t.Context(), "s", store.Any, store.Event{Type: "t", Data: 1})
				require.NoError(t, err)
			}
		}
		lines := func(r io.Reader) func(n int) []string {
			scanner := bufio.NewScanner(r)
			return func(n int) (list []string) {
				t.Helper()
				for range n {
					require.True(t, scanner.Scan())
					list = append(list, scanner.Text())
				}
				return list
			}
		}
		out, printed := io.Pipe()
		errOut, told := io.Pipe()
		events, notes := lines(out), lines(errOut)
		fill(es, 4)
		ended := make(chan error, 1)
		go func() {
			tail := tailing{app: &app{out: printed, err: told}, stream: "s", last: 2, filter: filter, limit: 5, interval: time.Millisecond}
			ended <- tail.run(t.Context(), es)
		}()
		old := events(2)
		require.NoError(t, es.InTx(t.Context(), func(tx *sql.Tx) error {
			require.NoError(t, es.WithTx(tx).Delete(t.Context(), "s", store.Any, store.HardDelete))
			fill(es.WithTx(tx), 2)
			return nil
		}))
		assert.Contains(t, notes(1)[0], "was hard deleted")
		assert.Contains(t, notes(1)[0], "created again")
		again := events(2)
		require.NoError(t, es.Delete(t.Context(), "s", store.Any, store.HardDelete))
		assert.Contains(t, notes(1)[0], "was hard deleted")
		fill(es, 1)
		assert.Contains(t, notes(1)[0], "created again")
		last := events(1)
		require.NoError(t, <-ended)
		for i, line := range append(append(old, again...), last...) {
			assert.Regexp(t, `^ *`+[]string{"3", "4", "1", "2", "1"}[i]+` `, line)
		}
	}
}
