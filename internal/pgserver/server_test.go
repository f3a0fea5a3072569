package pgserver_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgserver"
	"github.com/eventstore-go/eventstore/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func TestDriversReachTheSharedServer(t *testing.T) {
	t.Parallel()
	for _, driver := range pgtest.Drivers() {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			var n int
			require.NoError(t, pgtest.Open(t, driver, pgtest.URL(t)).QueryRowContext(t.Context(), `select 1`).Scan(&n))
			assert.Equal(t, 1, n)
		})
	}
}

func TestSchemaIsDroppedAtTheEnd(t *testing.T) {
	t.Parallel()
	db := pgtest.Open(t, "pgx", pgtest.URL(t))
	var name string
	t.Run("test", func(t *testing.T) {
		name = pgtest.Schema(t)
		_, err := db.ExecContext(t.Context(), `create schema `+name)
		require.NoError(t, err)
		_, err = db.ExecContext(t.Context(), `create table `+name+`.x (a int)`)
		require.NoError(t, err)
	})
	var n int
	require.NoError(t, db.QueryRowContext(t.Context(), `select count(*) from pg_namespace where nspname = $1`, name).Scan(&n))
	assert.Zero(t, n)
}

func TestDatabaseIsDroppedAtTheEnd(t *testing.T) {
	t.Parallel()
	shared := pgtest.Open(t, "postgres", pgtest.URL(t))
	var name string
	t.Run("test", func(t *testing.T) {
		db := pgtest.Open(t, "pgx", pgtest.Database(t))
		require.NoError(t, db.QueryRowContext(t.Context(), `select current_database()`).Scan(&name))
	})
	var n int
	require.NoError(t, shared.QueryRowContext(t.Context(), `select count(*) from pg_database where datname = $1`, name).Scan(&n))
	assert.Zero(t, n)
}

func TestServerSurvivesKillAndRestart(t *testing.T) {
	t.Parallel()
	s := pgtest.StartServer(t, "fsync=on", "max_prepared_transactions=7")
	url := s.URL()
	db := pgtest.Open(t, "pgx", url)

	var fsync, prepared string
	require.NoError(t, db.QueryRowContext(t.Context(),
		`select current_setting('fsync'), current_setting('max_prepared_transactions')`).Scan(&fsync, &prepared))
	assert.Equal(t, "on", fsync)
	assert.Equal(t, "7", prepared)
	_, err := db.ExecContext(t.Context(), `create table kept (a int)`)
	require.NoError(t, err)

	s.Kill()
	require.Error(t, db.PingContext(t.Context()))
	s.Kill() // of a dead server: nothing
	s.Restart()
	require.Equal(t, url, s.URL())
	_, err = db.ExecContext(t.Context(), `insert into kept values (1)`)
	require.NoError(t, err, "the table of before the crash")

	s.Stop()
	require.Error(t, db.PingContext(t.Context()))
	s.Stop()
	s.Restart()
	s.Restart() // of a running server
	var n int
	require.NoError(t, db.QueryRowContext(t.Context(), `select count(*) from kept`).Scan(&n))
	assert.Equal(t, 1, n)
}

func TestProgramIsAClientOfTheServer(t *testing.T) {
	t.Parallel()
	s := pgtest.StartServer(t)
	out, err := exec.Command(s.Program(t, "psql"), "-Atc", "select 2 + 3", s.URL()).Output()
	require.NoError(t, err)
	assert.Equal(t, "5", strings.TrimSpace(string(out)))
}

// envHang makes a child process of TestServerEndsWithItsProcess start a server and wait to be killed.
const envHang = "PGTEST_HANG"

func TestServerEndsWithItsProcess(t *testing.T) {
	if os.Getenv(envHang) != "" {
		s := pgtest.StartServer(t)
		_, err := os.Stdout.WriteString(s.URL() + "\n")
		require.NoError(t, err)
		select {}
	}
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("throwaway clusters need a Unix system")
	}
	pgtest.StartServer(t) // skips where there is none to start

	tmp, err := os.MkdirTemp("/tmp", "hang-") // not t.TempDir: the server's user must get there
	require.NoError(t, err)
	require.NoError(t, os.Chmod(tmp, 0o1777)) //nolint:gosec // as /tmp is
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(tmp)) })

	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestServerEndsWithItsProcess$")
	child.Env = append(os.Environ(), envHang+"=1", "TMPDIR="+tmp)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	line := make([]byte, 512)
	n, err := out.Read(line)
	require.NoError(t, err)
	url := strings.TrimSpace(string(line[:n]))
	require.NoError(t, pgtest.Open(t, "pgx", url).PingContext(t.Context()))
	require.NotEmpty(t, clusters(t, tmp))

	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait())
	require.NoError(t, pgserver.Until("the cluster is removed", func() (bool, error) { return len(clusters(t, tmp)) == 0, nil }))
}

func clusters(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "pgtest-*"))
	require.NoError(t, err)
	return found
}
