package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// metrics are those that the alerts in docs/operations.md name, as Prometheus sees them.
var metrics = []string{
	`eventstore_subscription_lag\{[^}]*messaging_destination_subscription_name="greetings"[^}]*\} \d+`,
	`eventstore_subscription_stalled_seconds\{`,
	`eventstore_subscription_held\{[^}]*\} 1`,
	`eventstore_subscription_parked\{[^}]*\} 0`,
	`messaging_client_operation_duration_seconds_count\{`,
	`messaging_process_duration_seconds_count\{`,
}

func TestRun(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, filepath.Join(t.TempDir(), "events.db"), l) }()
	defer func() {
		cancel()
		<-ended
	}()
	url := "http://" + l.Addr().String()
	end := time.Now().Add(30 * time.Second)
	for _, metric := range metrics {
		for !regexp.MustCompile(metric).MatchString(get(t, url+"/metrics")) {
			if time.Now().After(end) {
				t.Fatalf("no %s in\n%s", metric, get(t, url+"/metrics"))
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	for _, path := range []string{"/health/live", "/health/ready", "/health/status"} {
		if body := get(t, url+path); !regexp.MustCompile(`^{"status":"ok"`).MatchString(body) {
			t.Errorf("%s: %s", path, body)
		}
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
