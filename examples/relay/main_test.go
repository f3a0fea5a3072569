package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/eventstore-go/eventstore/backend/postgres/pgtest"
	"github.com/eventstore-go/eventstore/migrate"
	"github.com/eventstore-go/eventstore/store"
	"github.com/eventstore-go/eventstore/store/relay"
	"github.com/eventstore-go/eventstore/store/storetest"
)

// envConfig holds the configuration of a process that a test has started, and kills.
const envConfig = "RELAY_CONFIG"

// plan is a config as a child process is given it.
type plan struct{ DB, NATS, Stream, Name, Prefix string }

// lease is how long another process waits before it takes over.
const lease = time.Second

func TestMain(m *testing.M) {
	text := os.Getenv(envConfig)
	if text == "" {
		os.Exit(m.Run())
	}
	var p plan
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		panic(err)
	}
	err := run(context.Background(), config{db: p.DB, nats: p.NATS, stream: p.Stream, name: p.Name, prefix: p.Prefix, lease: lease})
	fmt.Fprintln(os.Stderr, "relay:", err)
	os.Exit(1)
}

// start starts a relay as a process of its own.
func start(tb testing.TB, p plan) *exec.Cmd {
	tb.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		tb.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), envConfig+"="+string(text))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	return cmd
}

// kill kills a process as kill -9 does.
func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill() // it may have ended
	_ = cmd.Wait()
}

// startNATS starts a server with JetStream that keeps its files in dir, on a port or with -1 on one that is free.
func startNATS(tb testing.TB, dir string, port int) *server.Server {
	tb.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true})
	if err != nil {
		tb.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		tb.Fatal("the NATS server does not start")
	}
	return s
}

// open opens the store that the relays read, in a database of the test's own.
func openStore(tb testing.TB, kind string) (at string, es *store.Store) {
	tb.Helper()
	if kind == "postgres" {
		at = pgtest.Database(tb)
	} else {
		at = filepath.Join(tb.TempDir(), "events.db")
	}
	db, b, err := open(at)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	if err := migrate.Up(tb.Context(), b); err != nil {
		tb.Fatal(err)
	}
	return at, storetest.Open(tb, b, nil)
}

// received are the messages of a stream of JetStream, in its order.
func received(tb testing.TB, url, name string) []jetstream.Msg {
	tb.Helper()
	conn, err := nats.Connect(url)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		tb.Fatal(err)
	}
	stream, err := js.Stream(tb.Context(), name)
	if err != nil {
		tb.Fatal(err)
	}
	info, err := stream.Info(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	consumer, err := stream.OrderedConsumer(tb.Context(), jetstream.OrderedConsumerConfig{})
	if err != nil {
		tb.Fatal(err)
	}
	var all []jetstream.Msg
	for uint64(len(all)) < info.State.Msgs {
		batch, err := consumer.Fetch(int(min(1000, info.State.Msgs-uint64(len(all)))), jetstream.FetchMaxWait(10*time.Second))
		if err != nil {
			tb.Fatal(err)
		}
		before := len(all)
		for m := range batch.Messages() {
			all = append(all, m)
		}
		if err := batch.Error(); err != nil && !errors.Is(err, nats.ErrTimeout) || len(all) == before {
			tb.Fatalf("%d of %d messages were received: %v", len(all), info.State.Msgs, err)
		}
	}
	return all
}

// stored returns how many messages a server has in all its streams.
func stored(tb testing.TB, s *server.Server) int {
	tb.Helper()
	info, err := s.Jsz(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return int(info.Messages)
}

// verify compares what JetStream has with the store: each event once, and each stream in its order. It returns one line for each difference.
func verify(tb testing.TB, es *store.Store, messages []jetstream.Msg) (wrong []string) {
	tb.Helper()
	want := map[string]store.Recorded{}
	for e, err := range es.All(tb.Context(), nil) {
		if err != nil {
			tb.Fatal(err)
		}
		want[e.ID.String()] = e
	}
	seen, last := map[string]bool{}, map[string]int64{}
	for _, m := range messages {
		id, stream := m.Headers().Get(relay.HeaderID), m.Headers().Get(relay.HeaderStream)
		e, known := want[id]
		version, err := strconv.ParseInt(m.Headers().Get(relay.HeaderVersion), 10, 64)
		switch {
		case err != nil || !known || e.Stream != stream || e.Version != version || string(e.Data) != string(m.Data()):
			wrong = append(wrong, fmt.Sprintf("message %s is not the event of that id: %v", id, m.Headers()))
		case seen[id]:
			wrong = append(wrong, fmt.Sprintf("event %s, version %d of %s, was received twice", id, version, stream))
		case version <= last[stream]:
			wrong = append(wrong, fmt.Sprintf("version %d of %s came after version %d", version, stream, last[stream]))
		}
		seen[id], last[stream] = true, max(last[stream], version)
	}
	for id, e := range want {
		if !seen[id] {
			wrong = append(wrong, fmt.Sprintf("event %s, version %d of %s, was not received", id, e.Version, e.Stream))
		}
	}
	return wrong
}

// caughtUp waits until the relay has published all.
func caughtUp(tb testing.TB, es *store.Store, name string) {
	tb.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		list, err := es.Subscriptions(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		for _, s := range list {
			if s.Name == name && s.Lag() == 0 {
				return
			}
		}
		if time.Now().After(end) {
			tb.Fatalf("the relay does not come to the end: %+v", list)
		}
	}
}

// TestKilled: three relays of one name are killed again and again while events are appended, and the broker is restarted. In the end each
// event is in JetStream once, and each stream in its order.
func TestKilled(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			at, es := openStore(t, kind)
			dir := t.TempDir()
			broker := startNATS(t, dir, -1)
			url, port := broker.ClientURL(), broker.Addr().(*net.TCPAddr).Port
			defer func() { broker.Shutdown(); broker.WaitForShutdown() }()

			ctx, stop := context.WithCancel(t.Context())
			var work sync.WaitGroup
			appended := make([]int, 4)
			for w := range appended {
				work.Go(func() {
					for n := 0; ctx.Err() == nil; n++ {
						stream := fmt.Sprintf("order-%d", rand.IntN(20))
						_, err := es.Append(t.Context(), stream, store.Any, store.Event{Type: "order.changed", Data: n}, store.Event{Type: "order.changed", Data: -n})
						if err != nil {
							t.Error(err)
							return
						}
						appended[w] += 2
						time.Sleep(time.Millisecond)
					}
				})
			}
			p := plan{DB: at, NATS: url, Stream: "ORDERS", Name: "to-nats"}
			relays := []*exec.Cmd{start(t, p), start(t, p), start(t, p)}
			kills := 0
			for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
				time.Sleep(time.Duration(200+rand.IntN(800)) * time.Millisecond)
				i := rand.IntN(len(relays))
				kill(relays[i])
				relays[i] = start(t, p)
				if kills++; kills == 10 {
					broker.Shutdown()
					broker.WaitForShutdown()
					time.Sleep(500 * time.Millisecond)
					broker = startNATS(t, dir, port)
				}
			}
			stop()
			work.Wait()
			caughtUp(t, es, "to-nats")
			for _, r := range relays {
				kill(r)
			}
			messages := received(t, url, "ORDERS")
			for _, line := range verify(t, es, messages) {
				t.Error(line)
			}
			total := 0
			for _, n := range appended {
				total += n
			}
			t.Logf("%d events appended, %d messages received, %d relays killed, 1 broker restarted", total, len(messages), kills)
			if len(messages) != total || kills < 10 {
				t.Errorf("%d messages for %d events, %d kills", len(messages), total, kills)
			}
		})
	}
}

// TestPublishedTwice: what is published a second time, by a relay of another name that begins with the first event, is in JetStream once.
func TestPublishedTwice(t *testing.T) {
	at, es := openStore(t, "sqlite")
	broker := startNATS(t, t.TempDir(), -1)
	defer func() { broker.Shutdown(); broker.WaitForShutdown() }()
	for n := range 50 {
		if _, err := es.Append(t.Context(), fmt.Sprintf("order-%d", n%7), store.Any, store.Event{Type: "order changed", Data: n}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"first", "second"} {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- run(ctx, config{db: at, nats: broker.ClientURL(), stream: "ORDERS", name: name}) }()
		caughtUp(t, es, name)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		messages := received(t, broker.ClientURL(), "ORDERS")
		if wrong := verify(t, es, messages); len(wrong) > 0 || len(messages) != 50 {
			t.Errorf("%d messages after the %s: %q", len(messages), name, wrong)
		}
		if subject := messages[0].Subject(); subject != "ORDERS.order_changed" {
			t.Errorf("subject %q", subject)
		}
	}
}

// TestVerifyNotices: the verdict of TestKilled is one that can fail.
func TestVerifyNotices(t *testing.T) {
	_, es := openStore(t, "sqlite")
	for n := range 3 {
		if _, err := es.Append(t.Context(), "order-1", store.Any, store.Event{Type: "order.changed", Data: n}); err != nil {
			t.Fatal(err)
		}
	}
	var messages []jetstream.Msg
	for e, err := range es.All(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		m, err := relay.Plain(e)
		if err != nil {
			t.Fatal(err)
		}
		header := nats.Header{}
		for name, value := range m.Metadata {
			header.Set(name, value)
		}
		messages = append(messages, fakeMsg{header: header, data: m.Payload})
	}
	first, second, third := messages[0], messages[1], messages[2]
	if wrong := verify(t, es, messages); len(wrong) > 0 {
		t.Error(wrong)
	}
	for name, bad := range map[string][]jetstream.Msg{
		"missing": {first, second}, "twice": {first, second, third, third}, "order": {second, first, third},
		"other": {first, second, third, fakeMsg{header: nats.Header{}}},
	} {
		if len(verify(t, es, bad)) == 0 {
			t.Errorf("%s: nothing is noticed", name)
		}
	}
}

type fakeMsg struct {
	jetstream.Msg

	header nats.Header
	data   []byte
}

func (m fakeMsg) Headers() nats.Header { return m.header }
func (m fakeMsg) Data() []byte         { return m.data }
