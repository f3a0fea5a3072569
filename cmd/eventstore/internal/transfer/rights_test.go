package transfer_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded/commandedtest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// as returns a store as another user sees it, who has been granted some rights.
func as(t *testing.T, d *database.Database, name string, rights ...string) *database.Database {
	t.Helper()
	return at(t, databasetest.URL(t, database.PostgreSQL), d, name, rights...)
}

// at is as, of a store in the database at a URL.
func at(t *testing.T, where string, d *database.Database, name string, rights ...string) *database.Database {
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
	u, err := url.Parse(where)
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

// TestLeastRights: the rights that a refusal names are all that an import needs, clearing it away, and following a source.
func TestLeastRights(t *testing.T) {
	t.Parallel()
	s := open(t, databasetest.New(t, database.SQLite))
	s.fill()
	s.append("after", 1)
	path := exported(t, s.d)
	where := pgtest.Database(t)
	d := databasetest.Open(t, where, "least")
	require.NoError(t, migrate.Up(t.Context(), d.Backend))
	check := []string{"revoke temporary on database DATABASE from public", "grant select on SCHEMA.eventstore_migrations to ROLE"}
	for i, q := range check {
		check[i] = strings.ReplaceAll(q, "DATABASE", d.Name())
	}
	_, err := transfer.Import(t.Context(), at(t, where, d, "none", check...), path, transfer.ImportOptions{})
	var rights *transfer.RightsError
	require.ErrorAs(t, err, &rights)
	untouched(t, d)

	grants := check
	for _, r := range rights.Rights {
		grants = append(grants, "grant "+r+" to ROLE")
	}
	importer := at(t, where, d, "importer", grants...)
	half(t, importer, path, 5, false)
	_, err = transfer.Abandon(t.Context(), importer)
	require.NoError(t, err)
	half(t, importer, path, 5, false)
	_, err = transfer.Import(t.Context(), importer, path, transfer.ImportOptions{})
	require.NoError(t, err)
	sound(t, d)

	other := open(t, databasetest.New(t, database.SQLite))
	for range 9 {
		other.append("of a merge", 1)
	}
	half(t, importer, exported(t, other.d), 2, true)
	_, err = transfer.Abandon(t.Context(), importer)
	require.NoError(t, err)
	sound(t, d)
}

// TestLeastRightsToFollow is likewise for a store that follows its source.
func TestLeastRightsToFollow(t *testing.T) {
	t.Parallel()
	where := pgtest.Database(t)
	d := databasetest.Open(t, where, "follows")
	require.NoError(t, migrate.Up(t.Context(), d.Backend))
	ctx := t.Context()
	from := commandedtest.Empty(t, commandedtest.JSON, "public", "timestamptz")
	follow := func(d *database.Database, o transfer.FollowOptions) error {
		s, err := commanded.Open(ctx, from.Location, commanded.Options{})
		require.NoError(t, err)
		defer func() { require.NoError(t, s.Close()) }()
		_, err = transfer.Follow(ctx, d, s, o)
		return err
	}
	ids := commandedtest.NewIDs(9)
	require.NoError(t, from.Append(ctx, "a", ids[:3]...))
	require.NoError(t, from.Append(ctx, "gone", ids[3:6]...))
	require.NoError(t, from.Link(ctx, "links", ids[:4]...))
	require.NoError(t, from.Snapshot(ctx, "a", 1, "{}"))
	require.NoError(t, from.Snapshot(ctx, "lost", 1, "{}"))
	require.NoError(t, from.Acknowledge(ctx, "a", "s", 2))
	check := []string{"revoke temporary on database " + d.Name() + " from public", "grant select on SCHEMA.eventstore_migrations to ROLE"}
	var rights *transfer.RightsError
	require.ErrorAs(t, follow(at(t, where, d, "none", check...), transfer.FollowOptions{}), &rights)
	grants := check
	for _, r := range rights.Rights {
		grants = append(grants, "grant "+r+" to ROLE")
	}
	importer := at(t, where, d, "importer", grants...)
	require.NoError(t, follow(importer, transfer.FollowOptions{}))
	require.NoError(t, from.Append(ctx, "a", ids[6:]...))
	require.NoError(t, from.HardDelete(ctx, "gone"))
	require.NoError(t, from.Link(ctx, "links", ids[6:]...))
	require.NoError(t, from.Snapshot(ctx, "a", 3, "{}"))
	require.NoError(t, from.DeleteSnapshot(ctx, "lost"))
	require.NoError(t, follow(importer, transfer.FollowOptions{}))
	_, err := transfer.Abandon(ctx, importer)
	require.NoError(t, err)
	require.NoError(t, follow(importer, transfer.FollowOptions{Finish: true}))
	sound(t, d)
}
