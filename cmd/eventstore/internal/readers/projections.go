package readers

import (
	"context"
	"database/sql"
	"time"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/store"
)

// Projection is a projection with its partitions.
type Projection struct {
	Name       string      `json:"name"`
	Stream     string      `json:"stream"`
	Checkpoint int64       `json:"checkpoint"`
	Lag        int64       `json:"lag"`
	Rate       float64     `json:"rate"`
	Parked     int64       `json:"parked"`
	Members    int         `json:"members"`
	ReplacedBy string      `json:"replaced_by,omitempty"`
	CreatedAt  time.Time   `json:"created_at"`
	Partitions []Partition `json:"partitions"`
}

// Partition is a partition of a projection.
type Partition struct {
	Partition int     `json:"partition"`
	Delay     float64 `json:"delay_seconds"`
	Parked    int64   `json:"parked"`
	Handled   int64   `json:"handled"`
	Rate      float64 `json:"rate"`
	Subscription
}

// ProjectionOf returns what a store says of a projection.
func ProjectionOf(p store.ProjectionInfo) Projection {
	v := Projection{p.Name, p.Stream, p.Checkpoint(), p.Lag(), p.Rate(), p.Parked(), p.Members, p.ReplacedBy, p.CreatedAt, nil}
	for _, i := range p.Partitions {
		v.Partitions = append(v.Partitions, Partition{i.Partition, i.Delay().Seconds(), i.Parked, i.Handled, i.Rate, SubscriptionOf(i.SubscriptionInfo)})
	}
	return v
}

// ResetProjection makes a projection apply all events again. In the same transaction it runs the statements, which empty the projection's
// tables. Without statements the tables must be empty, or the handler must overwrite what is there.
func ResetProjection(ctx context.Context, d *database.Database, es *store.Store, name string, statements []string) error {
	return es.ResetProjection(ctx, name, func(ctx context.Context, tx *sql.Tx) error { return d.ExecIn(ctx, tx, statements) })
}
