// Package dqlite tests the store on dqlite, a SQLite that Raft replicates to several nodes. It is a module of its own: the driver
// needs cgo, and Debian's packages of the library and of the driver's source.
//
// Each node is a process, so that it can be killed. The test's own process is a client only.
package dqlite

import (
	"bufio"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/canonical/go-dqlite/app"
	"github.com/canonical/go-dqlite/client"
	dqlitedriver "github.com/canonical/go-dqlite/driver"
	"github.com/stretchr/testify/require"
)

// envNode names the variable that makes a node of a test's program: its folder, its address, and those of the cluster that it joins.
const envNode = "EVENTSTORE_TEST_DQLITE_NODE"

// Main is what TestMain calls: it runs the tests, or a node in a process that one of them has started.
func Main(m *testing.M) {
	args := strings.Fields(os.Getenv(envNode))
	if len(args) == 0 {
		os.Exit(m.Run())
	}
	if err := runNode(args[0], args[1], args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// ready is the line that a node prints when it is a member of the cluster.
const ready = "ready"

// runNode runs a node until the standard input ends, which it does with the test's process.
func runNode(dir, address string, cluster []string) error {
	// The latency makes elections patient: on a busy machine a leader that is slow is not dead.
	a, err := app.New(dir, app.WithAddress(address), app.WithCluster(cluster), app.WithRolesAdjustmentFrequency(time.Second), app.WithNetworkLatency(200*time.Millisecond))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := a.Ready(ctx); err != nil {
		return err
	}
	fmt.Println(ready)
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, a.Close())
}

// Cluster is three nodes on loopback.
type Cluster struct {
	tb    testing.TB
	nodes []*node
	store client.NodeStore
}

// node is a process.
type node struct {
	address, dir string
	cmd          *exec.Cmd // nil: killed
	in           io.Closer
	ended        chan struct{} // closed when cmd has ended
}

// Start starts a cluster, which ends with the test.
func Start(tb testing.TB) *Cluster {
	tb.Helper()
	c := &Cluster{tb: tb, store: client.NewInmemNodeStore()}
	dir := tb.TempDir() // first: it is removed when the nodes have ended
	tb.Cleanup(func() {
		for _, n := range c.nodes {
			if n.cmd != nil {
				c.kill(n)
			}
		}
	})
	var infos []client.NodeInfo
	for i := range 3 {
		n := &node{address: freeAddress(tb), dir: filepath.Join(dir, fmt.Sprint(i))}
		require.NoError(tb, os.Mkdir(n.dir, 0o700))
		c.nodes = append(c.nodes, n)
		c.start(n)
		infos = append(infos, client.NodeInfo{Address: n.address})
		require.NoError(tb, c.store.Set(tb.Context(), infos))
	}
	return c
}

// freeAddress returns an address on loopback that nothing listens on.
func freeAddress(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	defer l.Close() //nolint:errcheck // it has said where it was
	return l.Addr().String()
}

// start starts a node, again or for the first time, and waits until it is a member of the cluster.
func (c *Cluster) start(n *node) {
	c.tb.Helper()
	self, err := os.Executable()
	require.NoError(c.tb, err)
	args := []string{n.dir, n.address}
	for _, other := range c.nodes {
		if other != n && other.cmd != nil {
			args = append(args, other.address)
		}
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), envNode+"="+strings.Join(args, " "))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(c.tb, err)
	out, err := cmd.StdoutPipe()
	require.NoError(c.tb, err)
	require.NoError(c.tb, cmd.Start())
	n.cmd, n.in, n.ended = cmd, in, make(chan struct{})
	line, err := bufio.NewReader(out).ReadString('\n')
	go func() {
		_ = cmd.Wait()
		close(n.ended)
	}()
	require.NoError(c.tb, err, "a node ended before it was ready")
	require.Equal(c.tb, ready, strings.TrimSpace(line))
}

// kill kills a node's process with SIGKILL and waits until it has ended.
func (c *Cluster) kill(n *node) {
	_ = n.cmd.Process.Kill()
	<-n.ended
	n.cmd = nil
}

// KillLeader kills the node that is the leader now, and returns it.
func (c *Cluster) KillLeader(ctx context.Context) *node {
	c.tb.Helper()
	leader, err := client.FindLeader(ctx, c.store)
	require.NoError(c.tb, err)
	info, err := leader.Leader(ctx)
	require.NoError(c.tb, err)
	_ = leader.Close()
	for _, n := range c.nodes {
		if n.address == info.Address {
			require.NotNil(c.tb, n.cmd, "the leader is dead")
			c.kill(n)
			return n
		}
	}
	require.Fail(c.tb, "the leader is no node of the test", info.Address)
	return nil
}

// Open opens a pool of connections to a database of the cluster, at most conns, or any number if conns is 0. The database is
// created if it is absent.
func (c *Cluster) Open(tb testing.TB, database string, conns int) *sql.DB {
	tb.Helper()
	d, err := dqlitedriver.New(c.store, dqlitedriver.WithLogFunc(func(client.LogLevel, string, ...any) {}))
	require.NoError(tb, err)
	inner, err := d.OpenConnector(database)
	require.NoError(tb, err)
	db := sql.OpenDB(connector{inner})
	tb.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(conns)
	return db
}

// connector sets on each connection what the store needs: dqlite's data source names have no parameters.
type connector struct{ driver.Connector }

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := conn.(driver.QueryerContext).QueryContext(ctx, "pragma busy_timeout = 10000", nil)
	if err == nil {
		err = rows.Close()
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}
