package pgserver

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// StartStandby starts a streaming standby of a server, with the settings of that server, and stops it when the test ends. The
// passwords are the same.
func (s *Server) StartStandby(tb testing.TB) *Server {
	tb.Helper()
	standby := s.Backup(tb, "-R")
	require.NoError(tb, standby.startSomewhere())
	return standby
}

// Backup takes a base backup of a server, with more arguments of pg_basebackup. The result is a server of its own that does not run
// yet, with the settings and passwords of the first. It is removed when the test ends.
func (s *Server) Backup(tb testing.TB, args ...string) *Server {
	tb.Helper()
	basebackup := s.Program(tb, "pg_basebackup")
	backup := s.beside(tb, s.bin)
	args = append([]string{"-D", backup.data(), "-d", s.URL(), "-X", "stream", "-c", "fast", "--no-sync"}, args...)
	require.NoError(tb, run(backup.dir, basebackup, args...))
	return backup
}

// Recover starts a backup, which replays what an archive holds, with settings such as recovery_target_time, and returns when the
// server takes writes.
func (s *Server) Recover(settings ...string) {
	s.tb.Helper()
	signal := filepath.Join(s.data(), "recovery.signal")
	require.NoError(s.tb, os.WriteFile(signal, nil, 0o600))
	require.NoError(s.tb, giveAway(signal))
	s.settings = append(slices.Clip(s.settings), append(settings, "recovery_target_action=promote")...)
	require.NoError(s.tb, s.startSomewhere())
	require.NoError(s.tb, until("the server has recovered", func() (bool, error) {
		recovering, err := s.ask(`select pg_is_in_recovery()`)
		return recovering == "f", err
	}))
}

// Upgrade stops a server and makes a new one of its data, by the pg_upgrade of another folder of binaries, and starts that.
func (s *Server) Upgrade(tb testing.TB, bin string) *Server {
	tb.Helper()
	upgraded := s.beside(tb, bin)
	require.NoError(tb, upgraded.initialise())
	for _, one := range []*Server{s, upgraded} { // pg_upgrade knows no password
		hba := filepath.Join(one.data(), "pg_hba.conf")
		rules, err := os.ReadFile(hba)
		require.NoError(tb, err)
		require.NoError(tb, os.WriteFile(hba, append([]byte("local all all trust\n"), rules...), 0o600))
	}
	s.Stop()
	require.NoError(tb, run(upgraded.dir, upgraded.Program(tb, "pg_upgrade"), "-b", s.bin, "-B", bin, "-d", s.data(), "-D", upgraded.data(), "-U", superuser))
	require.NoError(tb, upgraded.startSomewhere())
	return upgraded
}

// beside makes the folder of another server with the settings and passwords of this one.
func (s *Server) beside(tb testing.TB, bin string) *Server {
	tb.Helper()
	dir, err := os.MkdirTemp(tempDir(), "pgtest-")
	require.NoError(tb, err)
	require.NoError(tb, giveAway(dir))
	other := &Server{tb: tb, bin: bin, dir: dir, password: s.password, settings: s.settings}
	other.watch, other.watchPID, err = startWatch(bin, dir)
	require.NoError(tb, err)
	tb.Cleanup(other.remove)
	return other
}

// CutOff ends the stream of a standby for good: what its primary commits from now on does not reach it. It returns when the
// stream has ended.
func (s *Server) CutOff() {
	s.tb.Helper()
	for _, statement := range []string{`alter system set primary_conninfo = 'port=1'`, `select pg_reload_conf()`} {
		_, err := s.ask(statement)
		require.NoError(s.tb, err)
	}
	require.NoError(s.tb, until("the stream has ended", func() (bool, error) {
		streaming, err := s.ask(`select exists (select from pg_stat_wal_receiver where status = 'streaming')`)
		return streaming == "f", err
	}))
}

// PauseReplay has a standby show nothing more of what it receives. It returns when that is so.
func (s *Server) PauseReplay() {
	s.tb.Helper()
	_, err := s.ask(`select pg_wal_replay_pause()`)
	require.NoError(s.tb, err)
	require.NoError(s.tb, until("the replay is paused", func() (bool, error) {
		state, err := s.ask(`select pg_get_wal_replay_pause_state()`)
		return state == "paused", err
	}))
}

// ResumeReplay ends PauseReplay.
func (s *Server) ResumeReplay() {
	s.tb.Helper()
	_, err := s.ask(`select pg_wal_replay_resume()`)
	require.NoError(s.tb, err)
}

// Replayed waits until a standby shows all that its primary has committed.
func (s *Server) Replayed(primary *Server) {
	s.tb.Helper()
	lsn, err := primary.ask(`select pg_current_wal_flush_lsn()`)
	require.NoError(s.tb, err)
	require.NoError(s.tb, until("the standby has replayed "+lsn, func() (bool, error) {
		replayed, err := s.ask(`select pg_last_wal_replay_lsn() >= '` + lsn + `'::pg_lsn`)
		return replayed == "t", err
	}))
}

// Promote makes a standby a primary. It returns when it takes writes.
func (s *Server) Promote() {
	s.tb.Helper()
	promoted, err := s.ask(`select pg_promote()`)
	require.NoError(s.tb, err)
	require.Equal(s.tb, "t", promoted)
}

// ask returns what a statement returns, see value.
func (s *Server) ask(statement string) (string, error) {
	return value(context.Background(), s.URL(), statement)
}

// Address returns the server's address, host:port.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }
