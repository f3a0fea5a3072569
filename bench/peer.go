package bench

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// peer is a store that is compared.
type peer struct {
	name, version string
	// global says that it promises one order of all events, and that who has read up to a place in it misses nothing.
	global bool
	// checked says that an append names the version that the stream must be at.
	checked bool
	how     string // how it is used here
	open    func(ctx context.Context, url string, db *sql.DB) (log, error)
}

// log is a peer on a database.
type log interface {
	// append appends n events to a stream that has so many.
	append(ctx context.Context, stream string, has, n int) error
	// readStream reads a stream and returns how many events it has.
	readStream(ctx context.Context, stream string) (int, error)
	// readAll reads all events behind a place, in the order of places, and returns the last place.
	readAll(ctx context.Context, after int64, each func(data []byte)) (last int64, err error)
}

// joiner is a log that can append in a transaction of its caller.
type joiner interface {
	// appendTx appends an event, and commits after a while.
	appendTx(ctx context.Context, stream string, has int, hold time.Duration) error
}

// subscriber is a log that sends events to whoever subscribes.
type subscriber interface {
	// subscribe calls handle with every event from the first on, until ctx ends, or handle says that it is enough. It keeps
	// its own checkpoint, if the peer has such a thing.
	subscribe(ctx context.Context, name string, handle func(data []byte) (enough bool)) error
}

// closer is a log that holds something.
type closer interface{ close() error }

const (
	eventType = "order.placed"
	dataSize  = 200
)

var metadata = []byte(`{"user":"u-42","ip":"192.0.2.7","t":"4bf92f3577"}`)

// content is the data of an event: who it is, and filling up to dataSize bytes.
type content struct {
	Stream  string `json:"stream"`
	Version int    `json:"version"`
	Note    string `json:"note"`
}

func payload(stream string, version int) []byte {
	text := fmt.Sprintf(`{"stream":%q,"version":%d,"note":"`, stream, version)
	return []byte(text + strings.Repeat("x", dataSize-len(text)-2) + `"}`)
}

func parse(data []byte) (c content, err error) {
	err = json.Unmarshal(data, &c)
	return c, err
}
