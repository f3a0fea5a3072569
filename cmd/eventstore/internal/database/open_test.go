package database

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestThroughPoolers(t *testing.T) {
	t.Parallel()
	for have, want := range map[string]string{
		"postgres://localhost/shop":                  "postgres://localhost/shop?default_query_exec_mode=cache_describe",
		"postgres://localhost/shop?sslmode=disable":  "postgres://localhost/shop?sslmode=disable&default_query_exec_mode=cache_describe",
		"postgres:///?host=a%20b&port=5433":          "postgres:///?host=a%20b&port=5433&default_query_exec_mode=cache_describe",
		"postgres:///?default_query_exec_mode=exec":  "postgres:///?default_query_exec_mode=exec",
		"postgres://h/d?default_query_exec_mode=&a=": "postgres://h/d?default_query_exec_mode=&a=",
	} {
		u, err := url.Parse(have)
		require.NoError(t, err)
		require.Equal(t, want, throughPoolers(u).String())
		require.Equal(t, have, u.String(), "the caller's stays as it was")
	}
}
