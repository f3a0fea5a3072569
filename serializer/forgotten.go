package serializer

import (
	"fmt"

	"github.com/eventstore-go/eventstore/store"
)

// Forgotten stands for the data of an event that nobody can read any more, because the key of its subject was deleted.
// Decoding into a *any makes one. So does everything that goes by the types of values: [store.Recorded.Values], [store.As], handlers of
// a [store.Router], and the Fold of package aggregate. A type switch over an event's values needs a case for it.
//
// It is also an error, which is [store.ErrForgotten], for a switch that has no use for it to return.
type Forgotten struct {
	Type    string // the event's
	Subject string // whose key it was
}

func (f Forgotten) Error() string {
	return fmt.Sprintf("serializer: the data of an event of type %q is forgotten: the key of subject %q was deleted", f.Type, f.Subject)
}

// Is matches [store.ErrForgotten].
func (f Forgotten) Is(target error) bool { return target == store.ErrForgotten }

// ForgottenError is [store.ErrForgotten]. A [Coding] returns it when the key is gone for good, not when it can't be had
// just now.
type ForgottenError struct{ Subject string }

func (e *ForgottenError) Error() string {
	return fmt.Sprintf("serializer: the key of subject %q was deleted: the data is forgotten", e.Subject)
}

// Is matches [store.ErrForgotten].
func (e *ForgottenError) Is(target error) bool { return target == store.ErrForgotten }
