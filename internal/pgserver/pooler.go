package pgserver

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// EnvPooler names the variable that holds the path of a pgbouncer. No other is looked at if it is set.
const EnvPooler = "EVENTSTORE_TEST_PGBOUNCER"

// poolerScript runs pgbouncer until its standard input ends: when the test has ended, however it has.
const poolerScript = `"$1" -q "$2/pgbouncer.ini" </dev/null & read -r _; kill -9 $!; wait; rm -rf "$2"`

// Pooler is a pgbouncer of one test's own.
type Pooler struct {
	tb       testing.TB
	dir      string
	port     int
	server   *url.URL
	watch    *os.File // closing it ends the pooler
	watchPID int
}

// StartPooler starts a pgbouncer before the server at the URL, with settings such as "server_round_robin=1" and "pool_mode=session", and
// ends it when the test ends. Its default is transaction mode. Without a pgbouncer on the machine the test is skipped, and fails where CI is set.
func StartPooler(tb testing.TB, server string, settings ...string) *Pooler {
	tb.Helper()
	program := requirePooler(tb)
	u, err := url.Parse(server)
	require.NoError(tb, err)
	dir, err := os.MkdirTemp(tempDir(), "pooler-")
	require.NoError(tb, err)
	p := &Pooler{tb: tb, dir: dir, server: u}
	p.port, err = freePort()
	require.NoError(tb, err)
	require.NoError(tb, os.WriteFile(p.file("pgbouncer.ini"), []byte(p.config(settings)), 0o600))
	require.NoError(tb, os.WriteFile(p.file("log"), nil, 0o600))
	require.NoError(tb, giveAway(dir, p.file("pgbouncer.ini"), p.file("log")))
	in, out, err := os.Pipe()
	require.NoError(tb, err)
	defer func() { _ = in.Close() }()
	p.watch = out
	tb.Cleanup(p.end)
	p.watchPID, err = spawn("/", os.DevNull, in, "/bin/sh", "-c", poolerScript, "pgtest", program, dir)
	require.NoError(tb, err)
	require.NoError(tb, until("pgbouncer takes connections", p.ready), "%s", p.Log())
	return p
}

// URL returns the URL of the same database through the pooler. Parameters such as default_query_exec_mode are added to it.
func (p *Pooler) URL(parameters ...string) string {
	u := *p.server
	u.Host = net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port))
	q := u.Query()
	for _, parameter := range parameters {
		name, value, _ := strings.Cut(parameter, "=")
		q.Set(name, value)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// Sessions returns how many sessions of the server the pooler has.
func (p *Pooler) Sessions() int {
	p.tb.Helper()
	console := *p
	console.server = &url.URL{Scheme: "postgres", User: p.server.User, Path: "/pgbouncer", RawQuery: "sslmode=disable"}
	rows, err := query(p.tb.Context(), console.URL(), "show servers")
	require.NoError(p.tb, err)
	return len(rows)
}

// KeepsStatements reports whether the machine's pgbouncer keeps prepared statements in transaction mode, as from version 1.21 on.
func KeepsStatements(tb testing.TB) bool {
	tb.Helper()
	out, err := exec.Command(requirePooler(tb), "--version").Output()
	require.NoError(tb, err)
	var major, minor int
	_, err = fmt.Sscanf(string(out), "PgBouncer %d.%d", &major, &minor)
	require.NoError(tb, err, "%s", out)
	return major > 1 || minor >= 21
}

// Log returns what the pooler has logged.
func (p *Pooler) Log() string {
	b, err := os.ReadFile(p.file("log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// config is the pooler's. It logs in at the server with what the server's URL says, whoever its client claims to be.
func (p *Pooler) config(settings []string) string {
	password, _ := p.server.User.Password()
	quoted := strings.ReplaceAll(password, "'", "''")
	lines := []string{
		"[databases]",
		fmt.Sprintf("* = host=%s port=%s user=%s password='%s'", p.server.Hostname(), p.server.Port(), p.server.User.Username(), quoted),
		"[pgbouncer]",
		"listen_addr = 127.0.0.1",
		"listen_port = " + strconv.Itoa(p.port),
		"unix_socket_dir =",
		"logfile = " + p.file("log"),
		"auth_type = any",
		"pool_mode = transaction",
		"max_client_conn = 2000",
		"default_pool_size = 40",
	}
	return strings.Join(append(lines, settings...), "\n") + "\n"
}

func (p *Pooler) ready() (bool, error) {
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)))
	if err != nil {
		return false, nil
	}
	return true, conn.Close()
}

func (p *Pooler) end() {
	_ = p.watch.Close() // of a pipe nothing was written to
	if p.watchPID != 0 {
		_ = until("the pooler has ended", func() (bool, error) { return exited(p.watchPID), nil })
	}
}

func (p *Pooler) file(name string) string { return filepath.Join(p.dir, name) }

// requirePooler returns the path of pgbouncer, or skips or fails the test.
func requirePooler(tb testing.TB) string {
	tb.Helper()
	names := []string{"pgbouncer", "/usr/sbin/pgbouncer"}
	if given := os.Getenv(EnvPooler); given != "" {
		names = []string{given}
	}
	for _, name := range names { // Debian keeps it out of the PATH of most users
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing := fmt.Sprintf("no pgbouncer found in %v: install it (Debian, Ubuntu: apt-get install pgbouncer)", names)
	if os.Getenv("CI") != "" {
		tb.Fatal(missing)
	}
	tb.Skip(missing)
	return ""
}
