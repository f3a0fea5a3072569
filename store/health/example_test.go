package health_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
	"github.com/eventstore-go/eventstore/store/health"
)

// A service that shows a read model is ready when the projection for it runs.
func Example() {
	es := store.New(memory.New(), nil)
	defer es.Close() //nolint:errcheck // the program ends

	h := health.New(es, &health.Options{Needs: []string{"order-summary"}})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", h.Live)
	mux.HandleFunc("GET /readyz", h.Ready)
	mux.HandleFunc("GET /status", h.Status)
	server := httptest.NewServer(mux) // a program has http.ListenAndServe
	defer server.Close()

	for _, path := range []string{"/livez", "/readyz"} {
		res, err := http.Get(server.URL + path)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(path, res.StatusCode)
		_ = res.Body.Close()
	}
	for _, f := range h.Report(context.Background()).Findings {
		fmt.Printf("%s: %s; %s\n", f.Level, f.What, f.Advice)
	}
	// Output:
	// /livez 200
	// /readyz 503
	// problem: there is no subscription and no projection "order-summary"; start the program that runs it, or correct the name in Options.Needs
}

// Judge decides on lists that come from anywhere, such as those of a command-line tool.
func ExampleJudge() {
	list := []store.SubscriptionInfo{{SubscriptionID: store.SubscriptionID{Stream: store.All, Name: "mails"}, Checkpoint: 5, Head: 9, Parked: 2, Held: true}}
	for _, f := range health.Judge(list, nil, health.Limits{Lag: 3}) {
		fmt.Println(f.Level, f.Kind, f.Subscription)
	}
	// Output:
	// problem lag mails
	// warning parked mails
}
