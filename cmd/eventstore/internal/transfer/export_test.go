package transfer

import (
	"context"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
)

// WithAfter returns options with a function that is called behind each transaction of the import.
func (o ImportOptions) WithAfter(after func()) ImportOptions {
	o.after = after
	return o
}

// JSONBReason returns why jsonb refuses a text, or "".
func JSONBReason(text []byte) string { return jsonbReason(text) }

// AbandonStep is Abandon, and calls after behind each transaction that removes streams.
func AbandonStep(ctx context.Context, d *database.Database, after func()) (Unfinished, error) {
	return abandonAll(ctx, d, after)
}

// SetPage makes the pages of a source small.
func SetPage(s archive.Source, n int) { s.(*source).perPage = n }
