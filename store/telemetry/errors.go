package telemetry

import (
	"context"
	"errors"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/eventstore-go/eventstore/store"
)

// classes are the values of error.type for errors of the store.
var classes = []struct {
	err  error
	name string
}{
	{store.ErrWrongExpectedVersion, "wrong_expected_version"},
	{store.ErrStreamNotFound, "stream_not_found"},
	{store.ErrStreamDeleted, "stream_deleted"},
	{store.ErrStreamNotDeleted, "stream_not_deleted"},
	{store.ErrDuplicateEvent, "duplicate_event"},
	{store.ErrEventNotFound, "event_not_found"},
	{store.ErrHardDeleteDisabled, "hard_delete_disabled"},
	{store.ErrNoTransactions, "no_transactions"},
	{store.ErrRetryTx, "retry_tx"},
	{store.ErrIsolation, "isolation"},
	{store.ErrSchema, "schema"},
	{store.ErrPositionLost, "position_lost"},
	{store.ErrLeaseHeld, "lease_held"},
	{store.ErrLeaseLost, "lease_lost"},
	{store.ErrSubscriptionNotFound, "subscription_not_found"},
	{store.ErrClosed, "closed"},
	{store.ErrDecode, "decode"},
	{store.ErrInvalid, "invalid"},
	{context.Canceled, "canceled"},
	{context.DeadlineExceeded, "deadline_exceeded"},
}

// errorType returns the value of error.type: one of few, or the name of the error's type.
func errorType(err error) string {
	for _, c := range classes {
		if errors.Is(err, c.err) {
			return c.name
		}
	}
	return semconv.ErrorType(err).Value.AsString()
}
