package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
)

func TestMain(m *testing.M) {
	if target := os.Getenv("BANK_TARGET"); target != "" { // a program that is to be killed
		if err := run(context.Background(), os.Stdout, target, false, 0); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(pgtest.Main(m))
}

// TestKilled: programs that are killed leave a bank that is right.
func TestKilled(t *testing.T) {
	t.Parallel()
	for name, target := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return filepath.Join(t.TempDir(), "bank.db") },
		"postgres": func(t *testing.T) string { return pgtest.Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := target(t)
			b, err := open(t.Context(), at)
			require.NoError(t, err)
			defer b.close()
			seen := int64(0)
			for range 3 {
				child := exec.CommandContext(t.Context(), os.Args[0])
				child.Env = append(os.Environ(), "BANK_TARGET="+at)
				var said bytes.Buffer
				child.Stdout, child.Stderr = &said, &said
				require.NoError(t, child.Start())
				for until := seen + 100; seen < until; {
					time.Sleep(10 * time.Millisecond)
					seen, err = b.es.Head(t.Context())
					require.NoError(t, err)
				}
				require.NoError(t, child.Process.Kill())
				require.Error(t, child.Wait())
				assert.NotContains(t, said.String(), "panic")
			}
			var out bytes.Buffer
			require.NoError(t, run(t.Context(), &out, at, true, 0))
			assert.Contains(t, out.String(), "All balances are what")
			assert.Contains(t, out.String(), "together they are 0.")
		})
	}
}

// TestRun: the program transfers, reports, and checks.
func TestRun(t *testing.T) {
	t.Parallel()
	at := filepath.Join(t.TempDir(), "bank.db")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out := until{text: "programs share the work", then: cancel}
	require.NoError(t, run(ctx, &out, at, false, 0))
	assert.Contains(t, out.String(), out.text)
	out.Reset()
	require.NoError(t, run(t.Context(), &out, at, true, 0))
	assert.Contains(t, out.String(), "together they are 0.")
}

// until is a buffer that does something when it has a text.
type until struct {
	bytes.Buffer

	text string
	then func()
}

func (u *until) Write(p []byte) (int, error) {
	n, err := u.Buffer.Write(p)
	if bytes.Contains(u.Bytes(), []byte(u.text)) {
		u.then()
	}
	return n, err
}
