package postgres

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/store"
)

// TestRoles: the rights that the package comment names are enough.
func TestRoles(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.URL(t))
	as := func(name string, rights ...string) *Backend {
		t.Helper()
		role := name + "_" + b.opts.Schema
		for _, q := range append([]string{`create role "` + role + `"`, `grant usage on schema /*schema*/ to "` + role + `"`}, rights...) {
			_, err := b.db.ExecContext(t.Context(), strings.NewReplacer(append(b.opts.replacements(), "ROLE", quote(role))...).Replace(q))
			require.NoError(t, err, q)
		}
		t.Cleanup(func() {
			_, err := b.db.ExecContext(context.WithoutCancel(t.Context()), `drop owned by `+quote(role)+`; drop role `+quote(role))
			require.NoError(t, err)
		})
		other := New(pgtest.Open(t, "pgx", pgtest.URL(t)+"&role="+role), &b.opts)
		t.Cleanup(func() { require.NoError(t, other.Close()) })
		return other
	}
	writer := as("writer", `grant select, insert, update, delete on all tables in schema /*schema*/ to ROLE`,
		`grant usage, select, update on all sequences in schema /*schema*/ to ROLE`)
	reader := as("reader", `grant select on all tables in schema /*schema*/ to ROLE`, `grant select on all sequences in schema /*schema*/ to ROLE`)

	appendTo(t, writer, "a", 2)
	require.Empty(t, all(t, reader), "nobody has placed them")
	require.Equal(t, []string{"a@1", "a@2"}, all(t, writer))
	require.Equal(t, []string{"a@1", "a@2"}, all(t, reader))
	require.NoError(t, store.New(writer, &store.Options{HardDelete: true}).Delete(t.Context(), "a", store.Any, store.HardDelete))
	appendTo(t, writer, "b", 1)
	for _, b := range []*Backend{writer, reader} {
		for _, stream := range []string{store.All, "b"} {
			page, err := store.New(b, nil).Page(t.Context(), stream, nil)
			require.NoError(t, err)
			require.Len(t, page, 1)
		}
	}
}
