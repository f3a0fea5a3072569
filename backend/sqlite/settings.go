package sqlite

import (
	"context"
	"fmt"
)

// PragmaError is returned when a setting of the connection makes the backend unsafe to use.
type PragmaError struct{ Pragma, Have, Want string }

func (e *PragmaError) Error() string {
	return fmt.Sprintf("sqlite: pragma %s is %s, want %s", e.Pragma, e.Have, e.Want)
}

func (b *Backend) checkSettings(ctx context.Context) error {
	var timeout int64
	if _, err := b.one(ctx, "busy_timeout", nil, &timeout); err != nil {
		return err
	}
	if timeout == 0 {
		return &PragmaError{Pragma: "busy_timeout", Have: "0", Want: "some seconds, so that writers wait for each other; sqlite.DSN sets it"}
	}
	var mode string
	if _, err := b.one(ctx, "journal_mode", nil, &mode); err != nil {
		return err
	}
	b.wal.Store(mode == "wal")
	return nil
}
