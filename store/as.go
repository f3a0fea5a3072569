package store

import (
	"errors"
	"reflect"
)

// As returns the event's value if it is a T: one of the values that it stands for today, see [Recorded.Values]. ok says
// whether it is; an event of another type, or of one that is not registered, is no error. The error is a [DecodeError], or an
// [UnregisteredTypeError] if no event decodes to a T, whatever r is: T must be registered with the Store's serializer. It is
// [ErrUnknownVersion] if the event's type is registered, but not in the event's version: return it, and the subscription or
// projection waits.
func As[T any](r Recorded) (v T, ok bool, err error) {
	if err := r.codec.checkType(reflect.TypeFor[T]()); err != nil {
		return v, false, err
	}
	values, err := r.Values()
	if errors.Is(err, ErrUnknownType) {
		return v, false, nil
	}
	if err != nil {
		return v, false, err
	}
	for _, value := range values {
		if v, ok := value.(T); ok {
			return v, true, nil
		}
	}
	return v, false, nil
}
