package sqlite

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	"github.com/eventstore-go/eventstore/backend/internal/sqlerr"
	"github.com/eventstore-go/eventstore/store"
)

// Result codes of SQLite: somebody else has the lock that is needed, or the file can't be written.
const (
	codeBusy     = 5
	codeLocked   = 6
	codeReadOnly = 8
)

// A constraint that triggers violate while an import is unfinished. Drivers give its name in their text alone.
const (
	codeCheck        = 275
	importUnfinished = "import_is_unfinished"
)

// fail makes of a driver's error what the backend returns: named after its statement, [store.ErrRetryTx] where that
// is what to do, and ctx's if ctx is done.
func (b *Backend) fail(ctx context.Context, statement string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("sqlite: %s: %w", statement, err)
	if code(err) == codeCheck && strings.Contains(err.Error(), importUnfinished) {
		err = fmt.Errorf("%w: %w", store.ErrImporting, err)
	}
	if code(err)&0xff == codeReadOnly {
		err = fmt.Errorf("%w: %w; open the file for writing, with a user who may", store.ErrReadOnly, err)
	}
	if sqlerr.Closed(err) {
		err = fmt.Errorf("%w: %w", store.ErrClosed, err)
	}
	if b.tx != nil && busy(err) {
		err = fmt.Errorf("%w: %w", store.ErrRetryTx, err)
	}
	return sqlerr.WithContext(ctx, err)
}

func busy(err error) bool {
	primary := code(err) & 0xff
	return primary == codeBusy || primary == codeLocked
}

// code returns SQLite's result code, extended or not, or 0. Drivers give it by a method Code (modernc.org/sqlite,
// ncruces/go-sqlite3) or in a field Code (mattn/go-sqlite3), of an integer type of theirs.
func code(err error) int {
	if err == nil {
		return 0
	}
	v := reflect.ValueOf(err)
	if m := v.MethodByName("Code"); m.IsValid() && m.Type().NumIn() == 0 && m.Type().NumOut() == 1 {
		if c, ok := integer(m.Call(nil)[0]); ok {
			return c
		}
	}
	if v = reflect.Indirect(v); v.Kind() == reflect.Struct {
		if c, ok := integer(v.FieldByName("Code")); ok {
			return c
		}
	}
	switch e := err.(type) { //nolint:errorlint // this is the walk itself
	case interface{ Unwrap() error }:
		return code(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, e := range e.Unwrap() {
			if c := code(e); c != 0 {
				return c
			}
		}
	}
	return 0
}

func integer(v reflect.Value) (int, bool) {
	switch {
	case v.IsValid() && v.CanInt():
		return int(v.Int()), true
	case v.IsValid() && v.CanUint():
		return int(v.Uint()), true
	}
	return 0, false
}
