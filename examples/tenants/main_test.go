package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/eventstore-go/eventstore/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// TestTenants runs two processes' worth of it. Each ends when all of its stores rest, and has found every revenue right by then.
func TestTenants(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	var outs [2]strings.Builder
	var programs errgroup.Group
	for i := range outs {
		programs.Go(func() error {
			return run(t.Context(), &outs[i], settings{
				url: url, tenants: 30, busy: 3, length: 500 * time.Millisecond, rest: 100 * time.Millisecond, every: 20 * time.Millisecond,
			})
		})
	}
	require.NoError(t, programs.Wait())
	for i := range outs {
		require.Contains(t, outs[i].String(), " orders of 30 tenants, ")
		require.NotContains(t, outs[i].String(), "\n0 orders")
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, run(t.Context(), nil, settings{}), "-db")
	require.ErrorContains(t, run(t.Context(), nil, settings{url: "postgres://nowhere", tenants: 2, busy: 3}), "-busy")
}
