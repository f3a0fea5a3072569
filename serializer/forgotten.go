package serializer

import (
	"fmt"

	"github.com/eventstore-go/eventstore/store"
)

// Forgotten stands for the data of an event that nobody can read any more, because the key of its subject was deleted.
// Decoding into a *any makes one.
type Forgotten struct {
	Type    string // the event's
	Subject string // whose key it was
}

// ForgottenError is [store.ErrForgotten]. A [Coding] returns it when the key is gone for good, not when it can't be had
// just now.
type ForgottenError struct{ Subject string }

func (e *ForgottenError) Error() string {
	return fmt.Sprintf("serializer: the key of subject %q was deleted: the data is forgotten", e.Subject)
}

// Is matches [store.ErrForgotten].
func (e *ForgottenError) Is(target error) bool { return target == store.ErrForgotten }
