package encryption

import (
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// Subject is implemented by values that know whose they are. If the method has a pointer receiver, it also counts for
// values that are appended without a pointer: what should be encrypted must not depend on that.
type Subject interface {
	// EventSubject returns the subject that the value is encrypted for, "" if it is not to be encrypted.
	EventSubject() string
}

// subjectOf asks the value. A nil pointer has no subject: there is nothing in it.
func subjectOf(_ string, value any) string {
	v := reflect.ValueOf(value)
	if !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return ""
	}
	s, ok := value.(Subject)
	if !ok && reflect.PointerTo(v.Type()).Implements(reflect.TypeFor[Subject]()) {
		p := reflect.New(v.Type())
		p.Elem().Set(v)
		s, ok = p.Interface().(Subject)
	}
	if !ok {
		return ""
	}
	return s.EventSubject()
}

// SubjectError says that a text can't be the name of a subject.
type SubjectError struct{ Subject string }

func (e *SubjectError) Error() string {
	return fmt.Sprintf("encryption: the subject %.50q is empty, longer than %d bytes, not UTF-8, or has a zero byte", e.Subject, MaxSubject)
}

// CheckSubject returns a [SubjectError] if a text can't be the name of a subject: if it is empty, longer than MaxSubject, not UTF-8, or has
// a zero byte.
func CheckSubject(subject string) error {
	if subject == "" || len(subject) > MaxSubject || !utf8.ValidString(subject) || strings.ContainsRune(subject, 0) {
		return &SubjectError{subject}
	}
	return nil
}
