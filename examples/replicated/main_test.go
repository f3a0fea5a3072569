package main

import (
	"bufio"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMain runs the program itself in the processes that TestKilledNode starts.
func TestMain(m *testing.M) {
	if os.Getenv("EVENTSTORE_TEST_REPLICATED") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// program is a node.
type program struct {
	cmd   *exec.Cmd
	lines chan string
}

func startProgram(t *testing.T, ctx context.Context, dir, address, join string) *program {
	t.Helper()
	cmd := exec.CommandContext(ctx, os.Args[0], "-dir", dir, "-address", address, "-join", join, "-every", "20ms")
	cmd.Env = append(os.Environ(), "EVENTSTORE_TEST_REPLICATED=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	p := &program{cmd: cmd, lines: make(chan string)}
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			select {
			case p.lines <- s.Text():
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		for range p.lines {
		}
		_ = cmd.Wait()
	})
	return p
}

// says waits until the program prints a line with all of these in it.
func (p *program) says(t *testing.T, words ...string) {
	t.Helper()
	for line := range p.lines {
		found := true
		for _, word := range words {
			found = found && strings.Contains(line, word)
		}
		if found {
			return
		}
	}
	require.Fail(t, "the program has ended, or never said it", "%q", words)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // it has said where it was
	return l.Addr().String()
}

// TestKilledNode: two of three nodes go on when the first, which is the leader, is killed; started again, it catches up.
func TestKilledNode(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	dir := t.TempDir()
	a, b, c := freeAddress(t), freeAddress(t), freeAddress(t)
	first := startProgram(t, ctx, filepath.Join(dir, "a"), a, "")
	first.says(t, "node "+a)
	second := startProgram(t, ctx, filepath.Join(dir, "b"), b, a)
	second.says(t, "node "+b)
	third := startProgram(t, ctx, filepath.Join(dir, "c"), c, a)
	third.says(t, "node "+a, "node "+b, "node "+c)
	require.NoError(t, first.cmd.Process.Kill())
	for range first.lines {
	}
	for range 5 {
		second.says(t, "node "+a)
		third.says(t, "node "+a)
	}
	again := startProgram(t, ctx, filepath.Join(dir, "a"), a, "")
	again.says(t, "node "+a, "node "+b, "node "+c)
}
