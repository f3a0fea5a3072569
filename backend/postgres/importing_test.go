package postgres

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// importingTrigger refuses writes to the streams of an import, as `eventstore import` does while it is unfinished.
const importingTrigger = `
create function import_guard() returns trigger language plpgsql as $body$
begin
  if new.name like 'imported%' then
    raise exception 'eventstore: an import is unfinished' using errcode = 'ESTIM';
  end if;
  return new;
end
$body$;
create trigger import_guard before insert or update on streams for each row execute function import_guard()`

// TestImporting: a write that an unfinished import refuses is ErrImporting, with each driver, alone, in a group and in a caller's
// transaction, and fails no other one that is sent with it.
func TestImporting(t *testing.T) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		for _, alone := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, alone %t", driver, alone), func(t *testing.T) {
				t.Parallel()
				schema := pgtest.Schema(t)
				db := pgtest.Open(t, driver, pgtest.URL(t))
				b := New(db, &Options{Schema: schema, NoGroupCommit: alone})
				install(t, b)
				tx, err := db.BeginTx(t.Context(), nil)
				require.NoError(t, err)
				_, err = tx.ExecContext(t.Context(), "set local search_path = "+quote(schema))
				require.NoError(t, err)
				_, err = tx.ExecContext(t.Context(), importingTrigger)
				require.NoError(t, err)
				require.NoError(t, tx.Commit())

				es := store.New(b, nil)
				event := store.Event{Type: "x", Data: 1}
				var wg sync.WaitGroup
				for i := range 20 {
					for _, name := range []string{"imported", "other"} {
						wg.Go(func() {
							_, err := es.Append(t.Context(), fmt.Sprint(name, i), store.Any, event)
							switch {
							case name == "other" && err != nil:
								t.Errorf("%s: %v", name, err)
							case name == "imported" && !errors.Is(err, store.ErrImporting):
								t.Errorf("%s: want ErrImporting, got %v", name, err)
							}
						})
					}
				}
				wg.Wait()
				page, err := es.Page(t.Context(), "other3", nil)
				require.NoError(t, err)
				_, err = es.Link(t.Context(), "imported", store.Any, page[0].ID)
				require.ErrorIs(t, err, store.ErrImporting)
				tx, err = db.BeginTx(t.Context(), nil)
				require.NoError(t, err)
				_, err = es.WithTx(tx).Append(t.Context(), "imported", store.NoStream, event, event)
				require.ErrorIs(t, err, store.ErrImporting)
				require.NoError(t, tx.Rollback())
			})
		}
	}
}
