package bank_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"net/url"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/backend/postgres"
	"github.com/eventstore-go/eventstore/internal/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
)

// tables are the bank's own.
const tables = `
	create table journal (transfer uuid primary key, debit text not null, credit text not null, cents bigint not null);
	create table balances (
		account text primary key, cents bigint not null, version bigint not null, applied bigint not null, disorder bigint not null);
	create table cure (given boolean not null);`

// stage is the bank and the processes on it.
type stage struct {
	*testing.T

	server    *pgtest.Server
	url       string
	db        *sql.DB
	es        *store.Store
	processes []*process    // all there were
	patience  time.Duration // with what has to come
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{T: t, server: pgtest.StartServer(t, "fsync=on"), patience: 2 * time.Minute}
	s.url = s.server.URL()
	s.db = pgtest.Open(t, "pgx", s.url)
	s.db.SetMaxIdleConns(0) // none that has ended with the server
	b := postgres.New(s.db, &postgres.Options{Schema: "bank"})
	require.NoError(t, migrate.Up(t.Context(), b))
	s.es = store.New(b, nil)
	t.Cleanup(func() { require.NoError(t, s.es.Close()) })
	_, err := s.db.ExecContext(t.Context(), tables)
	require.NoError(t, err)
	t.Cleanup(func() {
		for _, p := range s.processes {
			if !p.ended() {
				_ = p.cmd.Process.Kill()
				<-p.done
			}
		}
	})
	return s
}

// process is a worker that was started.
type process struct {
	stage *stage
	plan  plan
	cmd   *exec.Cmd
	in    io.WriteCloser
	said  bytes.Buffer // complete when done is closed
	done  chan struct{}
	err   error // how it ended, when done is closed
}

// start starts a worker.
func (s *stage) start(p plan) *process {
	s.Helper()
	u, err := url.Parse(s.url)
	require.NoError(s, err)
	q := u.Query()
	q.Set("application_name", p.Name)
	q.Set("connect_timeout", "2")
	u.RawQuery = q.Encode()
	p.URL = u.String()
	text, err := json.Marshal(p)
	require.NoError(s, err)
	self, err := os.Executable()
	require.NoError(s, err)
	started := &process{stage: s, plan: p, cmd: exec.Command(self), done: make(chan struct{})}
	started.cmd.Env = append(os.Environ(), envPlan+"="+string(text))
	started.cmd.Stdout, started.cmd.Stderr = &started.said, &started.said
	started.in, err = started.cmd.StdinPipe()
	require.NoError(s, err)
	require.NoError(s, started.cmd.Start())
	go func() {
		defer close(started.done)
		started.err = started.cmd.Wait()
	}()
	s.processes = append(s.processes, started)
	return started
}

// ended reports whether the process has ended.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// alive fails the test if the process has ended by itself.
func (p *process) alive() {
	p.stage.Helper()
	if p.ended() {
		require.Fail(p.stage, p.plan.Name+" has ended", "%v\n%s", p.err, &p.said)
	}
}

func (p *process) signal(s syscall.Signal) {
	p.stage.Helper()
	p.alive()
	require.NoError(p.stage, p.cmd.Process.Signal(s))
}

// kill kills the process.
func (p *process) kill() {
	p.stage.Helper()
	p.signal(syscall.SIGKILL)
	<-p.done
}

// finish has the worker end, and waits until it has.
func (p *process) finish() {
	p.stage.Helper()
	p.alive()
	require.NoError(p.stage, p.in.Close())
	select {
	case <-p.done:
		require.NoError(p.stage, p.err, "%s\n%s", p.plan.Name, &p.said)
	case <-time.After(time.Minute):
		p.kill()
		require.Fail(p.stage, p.plan.Name+" does not end", "%s", &p.said)
	}
}

func (s *stage) number(query string, args ...any) (n int64) {
	s.Helper()
	require.NoError(s, s.db.QueryRowContext(s.Context(), query, args...).Scan(&n), query)
	return n
}

func (s *stage) exec(query string, args ...any) {
	s.Helper()
	_, err := s.db.ExecContext(s.Context(), query, args...)
	require.NoError(s, err, query)
}

// eventually waits until done, looking again and again.
func (s *stage) eventually(what string, done func() bool) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), s.patience)
	defer cancel()
	for !done() {
		if pause(ctx, 20*time.Millisecond) {
			info, err := s.es.Projection(s.Context(), projection)
			require.Fail(s, "never happened: "+what, "%+v %v", info, err)
		}
	}
}
