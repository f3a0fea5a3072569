package main

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/eventstore-go/eventstore/store"
)

// BenchmarkRelay measures how many events per second reach JetStream: by one relay, by three processes of one name, of which one
// publishes, and by three relays with a third of the streams each.
//
//	go test -run '^$' -bench Relay -benchtime 1x -count 5
func BenchmarkRelay(b *testing.B) {
	const streams, each = 300, 100
	for _, kind := range []string{"sqlite", "postgres"} {
		for _, c := range []struct {
			name            string
			names, prefixes []string
		}{
			{"relays=1", []string{"to-nats"}, []string{""}},
			{"relays=3/same", []string{"to-nats", "to-nats", "to-nats"}, []string{"", "", ""}},
			{"relays=3/parts", []string{"to-nats-0", "to-nats-1", "to-nats-2"}, []string{"order-0-", "order-1-", "order-2-"}},
		} {
			b.Run("db="+kind+"/"+c.name, func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					at, es := openStore(b, kind)
					for s := range streams {
						events := make([]store.Event, each)
						for i := range events {
							events[i] = store.Event{Type: "order.changed", Data: map[string]any{"text": fmt.Sprintf("%0180d", i)}}
						}
						if _, err := es.Append(b.Context(), fmt.Sprintf("order-%d-%d", s%3, s), store.NoStream, events...); err != nil {
							b.Fatal(err)
						}
					}
					broker := startNATS(b, b.TempDir(), -1)
					b.StartTimer()
					began := time.Now()
					var relays []*exec.Cmd
					for i, name := range c.names {
						relays = append(relays, start(b, plan{DB: at, NATS: broker.ClientURL(), Stream: "ORDERS", Name: name, Prefix: c.prefixes[i]}))
					}
					for stored(b, broker) < streams*each {
						if time.Since(began) > 5*time.Minute {
							b.Fatal("the relays do not come to the end")
						}
						time.Sleep(5 * time.Millisecond)
					}
					b.StopTimer()
					b.ReportMetric(streams*each/time.Since(began).Seconds(), "events/s")
					for _, r := range relays {
						kill(r)
					}
					broker.Shutdown()
					broker.WaitForShutdown()
					b.StartTimer()
				}
			})
		}
	}
}
