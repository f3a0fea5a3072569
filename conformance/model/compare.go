package model

import (
	"encoding/json"
	"errors"
	"reflect"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/eventstore-go/eventstore/store"
)

// kinds of errors that both stores must agree on.
var kinds = []error{
	store.ErrInvalid, store.ErrWrongExpectedVersion, store.ErrStreamExists, store.ErrStreamNotFound, store.ErrStreamDeleted, store.ErrStreamNotDeleted,
	store.ErrDuplicateEvent, store.ErrEventNotFound, store.ErrHardDeleteDisabled, store.ErrPositionLost,
}

// same fails unless results are equal and errors are of the same kinds.
func same[T any](rt *rapid.T, what string, real, model T, realErr, modelErr error) {
	rt.Helper()
	agree := (realErr == nil) == (modelErr == nil)
	for _, kind := range kinds {
		agree = agree && errors.Is(realErr, kind) == errors.Is(modelErr, kind)
	}
	if !agree {
		rt.Fatalf("%s: the error is\n%v\nand in the model\n%v", what, realErr, modelErr)
	}
	var realConflict, modelConflict *store.WrongExpectedVersionError
	if errors.As(realErr, &realConflict) && errors.As(modelErr, &modelConflict) && *realConflict != *modelConflict {
		rt.Fatalf("%s: the conflict is\n%+v\nand in the model\n%+v", what, *realConflict, *modelConflict)
	}
	if !reflect.DeepEqual(real, model) {
		rt.Fatalf("%s: the result is\n%+v\nand in the model\n%+v", what, real, model)
	}
}

// seen is an event as both stores must show it: JSON as a value, since a database may keep it with other blanks.
type seen struct {
	Number, Version   int64
	Stream, Type      string
	ID, Cause, Thread uuid.UUID
	Data, Metadata    any
	HasMetadata       bool
	CreatedAt         time.Time
}

func view(e store.Recorded) seen {
	s := seen{
		Number: e.Number, Version: e.Version, Stream: e.Stream, Type: e.Type, ID: e.ID, Cause: e.CausationID, Thread: e.CorrelationID,
		Data: value(e.Data), HasMetadata: e.Metadata != nil, CreatedAt: e.CreatedAt,
	}
	if s.HasMetadata {
		s.Metadata = value(e.Metadata)
	}
	return s
}

// value decodes JSON; what is none stands for itself.
func value(text []byte) (v any) {
	if err := json.Unmarshal(text, &v); err != nil {
		return string(text)
	}
	return v
}

func views(events []store.Recorded) []seen {
	list := make([]seen, len(events))
	for i, e := range events {
		list[i] = view(e)
	}
	return list
}
