package transfer_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
	"github.com/eventstore-go/eventstore/store"
)

// as returns a store as another user sees it, who has been granted some rights.
func as(t *testing.T, d *database.Database, name string, rights ...string) *database.Database {
	t.Helper()
	role := name + "_" + d.Schema
	schema := `"` + strings.ReplaceAll(d.Schema, `"`, `""`) + `"`
	quoted := `"` + strings.ReplaceAll(role, `"`, `""`) + `"`
	for _, q := range append([]string{"create role " + quoted, "grant usage on schema SCHEMA to ROLE"}, rights...) {
		_, err := d.ExecContext(t.Context(), strings.NewReplacer("SCHEMA", schema, "ROLE", quoted).Replace(q))
		require.NoError(t, err, q)
	}
	t.Cleanup(func() {
		_, err := d.ExecContext(context.WithoutCancel(t.Context()), "drop owned by "+quoted+"; drop role "+quoted)
		require.NoError(t, err)
	})
	u, err := url.Parse(databasetest.URL(t, database.PostgreSQL))
	require.NoError(t, err)
	q := u.Query()
	q.Set("role", role)
	u.RawQuery = q.Encode()
	return databasetest.Open(t, u.String(), d.Schema)
}

// TestRights: a user who lacks a right that is needed in the end is refused at the beginning, with its name. The least rights are
// enough, and others than the importing user are told that an import is unfinished, too.
func TestRights(t *testing.T) {
	t.Parallel()
	s := open(t, databasetest.New(t, database.SQLite))
	s.fill()
	path := exported(t, s.d)
	d := databasetest.New(t, database.PostgreSQL)
	some := []string{
		"grant select, insert, update, delete, trigger on all tables in schema SCHEMA to ROLE",
		"grant usage, select, update on all sequences in schema SCHEMA to ROLE",
	}
	poor := as(t, d, "poor", append(some, "revoke delete on SCHEMA.links from ROLE", "revoke update on sequence SCHEMA.epoch_seq from ROLE")...)
	_, err := transfer.Import(t.Context(), poor, path, transfer.ImportOptions{})
	var rights *transfer.RightsError
	require.ErrorAs(t, err, &rights)
	require.Len(t, rights.Rights, 3)
	for i, want := range []string{"DELETE on %q.links", "UPDATE on sequence %q.epoch_seq", "CREATE on schema %s"} {
		require.Equal(t, fmt.Sprintf(strings.ReplaceAll(want, "%q", `"%s"`), strings.ReplaceAll(d.Schema, `"`, `""`)), rights.Rights[i])
	}
	untouched(t, d)

	importer := as(t, d, "importer", append(some, "grant create on schema SCHEMA to ROLE")...)
	writer := open(t, as(t, d, "writer", some...))
	half(t, importer, path, 3, false)
	writes(t, writer, "a", store.ErrImporting)
	u, err := transfer.Find(t.Context(), writer.d)
	require.NoError(t, err)
	require.NotNil(t, u)
	_, err = transfer.Abandon(t.Context(), importer)
	require.NoError(t, err)
	untouched(t, d)
	half(t, importer, path, 5, false)
	_, err = transfer.Import(t.Context(), importer, path, transfer.ImportOptions{})
	require.NoError(t, err)
	sound(t, d)
	writes(t, writer, "a", nil)
}
