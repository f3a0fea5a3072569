// Package child runs a test's program once more, as a process of its own: told what to do by a plan, and told to go on,
// frozen or killed while it does.
package child

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
)

// envPlan names the variable that makes a worker of a test's program, and holds its plan.
const envPlan = "EVENTSTORE_WORKER_PLAN"

// Main is what TestMain calls: it runs the tests or, in a process that one of them has started, work with its plan. Nothing may
// be left running at the end.
func Main(m *testing.M, work func(plan string) error) {
	plan := os.Getenv(envPlan)
	if plan == "" {
		os.Exit(pgtest.Main(m))
	}
	err := work(plan)
	if err == nil {
		err = pgtest.Leaks()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Command returns the command that runs a worker with a plan, which is sent as JSON. It is killed when ctx ends.
func Command(ctx context.Context, tb testing.TB, plan any) *exec.Cmd {
	tb.Helper()
	text, err := json.Marshal(plan)
	require.NoError(tb, err)
	self, err := os.Executable()
	require.NoError(tb, err)
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), envPlan+"="+string(text))
	return cmd
}

// URL returns the address of a database as a worker of that name is to use it: by another host unless that is empty.
func URL(tb testing.TB, database, host, name string) string {
	tb.Helper()
	u, err := url.Parse(database)
	require.NoError(tb, err)
	if host != "" {
		u.Host = host
	}
	q := u.Query()
	q.Set("application_name", name)
	q.Set("connect_timeout", "2")
	u.RawQuery = q.Encode()
	return u.String()
}

// Process is a worker that was started.
type Process struct {
	name string
	tb   testing.TB
	cmd  *exec.Cmd
	in   io.WriteCloser
	said bytes.Buffer // complete when done is closed
	done chan struct{}
	err  error // how it ended, when done is closed
}

// Start starts a worker. It is killed when the test ends, unless it has ended.
func Start(tb testing.TB, name string, plan any) *Process {
	tb.Helper()
	p := &Process{name: name, tb: tb, cmd: Command(context.WithoutCancel(tb.Context()), tb, plan), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	var err error
	p.in, err = p.cmd.StdinPipe()
	require.NoError(tb, err)
	require.NoError(tb, p.cmd.Start())
	go func() {
		defer close(p.done)
		p.err = p.cmd.Wait()
	}()
	tb.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
	})
	return p
}

// Name is that of the worker.
func (p *Process) Name() string { return p.name }

// Alive fails the test if the process has ended by itself.
func (p *Process) Alive() {
	p.tb.Helper()
	select {
	case <-p.done:
		require.Fail(p.tb, p.name+" has ended", "%s", p.Verdict())
	default:
	}
}

// Verdict is how the process ended, and all that it said.
func (p *Process) Verdict() string { return fmt.Sprintf("%s: %v\n%s", p.name, p.err, &p.said) }

// Signal sends a signal to a process that has not ended.
func (p *Process) Signal(s syscall.Signal) {
	p.tb.Helper()
	p.Alive()
	require.NoError(p.tb, p.cmd.Process.Signal(s))
}

// Kill kills the process.
func (p *Process) Kill() {
	p.tb.Helper()
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// GoOn sends a line to the process.
func (p *Process) GoOn() {
	p.tb.Helper()
	_, err := io.WriteString(p.in, "\n")
	require.NoError(p.tb, err)
}

// Finish ends the input of the process, and waits until it ends; if it takes too long, it kills it. It reports whether it
// ended by itself and in good order.
func (p *Process) Finish(within time.Duration) bool {
	p.tb.Helper()
	p.Alive()
	require.NoError(p.tb, p.in.Close())
	select {
	case <-p.done:
		return p.err == nil
	case <-time.After(within):
		p.Kill()
		return false
	}
}
