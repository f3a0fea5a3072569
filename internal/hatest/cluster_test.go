package hatest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/pgtest"
)

// ttl is how long Patroni takes a leader that does not renew its lock for alive, in seconds. Patroni allows no less.
const ttl = 20

// cluster is three PostgreSQL servers that Patroni manages, with etcd.
type cluster struct {
	*testing.T

	folder *pgtest.Folder
	nodes  []*node
	mode   mode
}

// node is one server with its Patroni.
type node struct {
	name       string
	port, rest int // of PostgreSQL, and of Patroni's interface
	patroni    *pgtest.Daemon
}

// mode is how many standbys confirm a commit.
type mode struct {
	synchronous bool // one
	strict      bool // one, also if none is there, or a Patroni starts that knows of none
}

// newCluster starts a cluster, and returns when it has a leader and two standbys.
func newCluster(t *testing.T, m mode) *cluster {
	t.Helper()
	c := &cluster{T: t, folder: pgtest.NewFolder(t), mode: m}
	client, peer := pgtest.FreePort(t), pgtest.FreePort(t)
	c.folder.Start("etcd", "etcd", "--data-dir", c.folder.Path+"/etcd", "--logger", "zap",
		"--listen-client-urls", local(client), "--advertise-client-urls", local(client),
		"--listen-peer-urls", local(peer), "--initial-advertise-peer-urls", local(peer), "--initial-cluster", "default="+local(peer))
	for i := range 3 {
		n := &node{name: fmt.Sprintf("n%d", i+1), port: pgtest.FreePort(t), rest: pgtest.FreePort(t)}
		c.folder.Write(n.name+".yml", c.settings(n, client))
		c.nodes = append(c.nodes, n)
		c.start(n)
	}
	c.whole()
	t.Cleanup(func() {
		if t.Failed() {
			for _, n := range c.nodes {
				t.Logf("%s\n%s", n.name, n.patroni.Log())
			}
		}
	})
	return c
}

func local(port int) string { return fmt.Sprintf("http://127.0.0.1:%d", port) }

// start starts the Patroni of a node, as a supervisor does.
func (c *cluster) start(n *node) {
	c.Helper()
	n.patroni = c.folder.Start(n.name, "patroni", c.folder.Path+"/"+n.name+".yml")
}

// settings is the configuration of a node. A leader that has come back with what the others do not have gets a new copy.
func (c *cluster) settings(n *node, etcd int) string {
	return strings.NewReplacer("NAME", n.name, "REST", fmt.Sprint(n.rest), "ETCD", fmt.Sprint(etcd), "PORT", fmt.Sprint(n.port),
		"DATA", c.data(n), "BIN", c.folder.Bin(), "TTL", fmt.Sprint(ttl), "SYNCHRONOUS", fmt.Sprint(c.mode.synchronous), "STRICT", fmt.Sprint(c.mode.strict)).Replace(`
scope: ha
name: NAME
restapi: {listen: "127.0.0.1:REST", connect_address: "127.0.0.1:REST"}
etcd3: {host: "127.0.0.1:ETCD"}
bootstrap:
  dcs:
    ttl: TTL
    loop_wait: 5
    retry_timeout: 5
    maximum_lag_on_failover: 1073741824
    synchronous_mode: SYNCHRONOUS
    synchronous_mode_strict: STRICT
    postgresql:
      use_pg_rewind: false
      use_slots: true
      parameters: {max_connections: 100, wal_level: replica, hot_standby: "on", wal_keep_size: 512MB, shared_buffers: 32MB}
  initdb: [{encoding: UTF8}, {locale: C}]
postgresql:
  listen: "127.0.0.1:PORT"
  connect_address: "127.0.0.1:PORT"
  data_dir: DATA
  bin_dir: BIN
  pgpass: DATA.pgpass
  remove_data_directory_on_diverged_timelines: true
  authentication: {replication: {username: repl, password: r}, superuser: {username: postgres, password: p}}
  pg_hba: ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"]
  parameters: {unix_socket_directories: ""}
`)
}

func (c *cluster) data(n *node) string { return c.folder.Path + "/" + n.name }

// url is how a program finds the primary: pgx takes a URL with several hosts, lib/pq takes them as keywords.
func (c *cluster) url(driver, name string) string {
	var hosts, ports, both []string
	for _, n := range c.nodes {
		hosts, ports = append(hosts, "127.0.0.1"), append(ports, fmt.Sprint(n.port))
		both = append(both, fmt.Sprintf("127.0.0.1:%d", n.port))
	}
	if driver == "pgx" {
		return "postgres://postgres:p@" + strings.Join(both, ",") +
			"/postgres?sslmode=disable&target_session_attrs=read-write&connect_timeout=3&application_name=" + name
	}
	return "host=" + strings.Join(hosts, ",") + " port=" + strings.Join(ports, ",") +
		" user=postgres password=p dbname=postgres sslmode=disable target_session_attrs=read-write connect_timeout=3 application_name=" + name
}

// member is what Patroni says of a node.
type member struct {
	Name, Role, State string
	Timeline          int
}

// members asks the nodes that answer for the state of the cluster.
func (c *cluster) members() []member {
	for _, n := range c.nodes {
		var answer struct{ Members []member }
		text, err := c.ask(http.MethodGet, n, "/cluster", nil)
		if err == nil && json.Unmarshal(text, &answer) == nil && len(answer.Members) > 0 {
			return answer.Members
		}
	}
	return nil
}

// ask calls the interface of a node's Patroni.
func (c *cluster) ask(method string, n *node, path string, body any) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Context()), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, local(n.rest)+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close() //nolint:errcheck // it was read to its end
	text, err = io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s %s", method, path, answer.Status, text)
	}
	return text, err
}

// leader returns the node that is the leader, if one is and its server takes writes.
func (c *cluster) leader() *node {
	for _, m := range c.members() {
		if m.Role != "leader" || m.State != "running" {
			continue
		}
		for _, n := range c.nodes {
			if n.name == m.Name {
				if _, err := c.ask(http.MethodGet, n, "/primary", nil); err == nil {
					return n
				}
			}
		}
	}
	return nil
}

// mustLeader returns the leader.
func (c *cluster) mustLeader() (n *node) {
	c.Helper()
	c.eventually("there is a leader", func() bool { n = c.leader(); return n != nil })
	return n
}

// otherLeader waits until another node is the leader.
func (c *cluster) otherLeader(than *node) (n *node) {
	c.Helper()
	c.eventually("another node is the leader", func() bool { n = c.leader(); return n != nil && n != than })
	return n
}

// whole waits until all three run, two of them as standbys of the leader, one of which is synchronous if one has to be.
func (c *cluster) whole() {
	c.Helper()
	c.eventually("there is a leader and two standbys", func() bool {
		roles := map[string]int{}
		timelines := map[int]bool{}
		for _, m := range c.members() {
			if m.State == "running" || m.State == "streaming" {
				roles[m.Role]++
				timelines[m.Timeline] = true
			}
		}
		if c.leader() == nil || len(timelines) != 1 || roles["leader"] != 1 {
			return false
		}
		if c.mode.synchronous {
			return roles["sync_standby"] == 1 && roles["replica"] == 1
		}
		return roles["replica"] == 2
	})
}

// eventually waits until done, looking again and again.
func (c *cluster) eventually(what string, done func() bool) {
	c.Helper()
	for end := time.Now().Add(4 * time.Minute); !done(); pause(c.Context(), 500*time.Millisecond) {
		if time.Now().After(end) {
			require.Fail(c, "never happened: "+what, "%+v", c.members())
		}
	}
}

// pause waits so long, or until ctx ends, which it reports.
func pause(ctx context.Context, d time.Duration) (ended bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return false
	case <-ctx.Done():
		return true
	}
}
