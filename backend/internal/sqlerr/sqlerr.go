// Package sqlerr has what backends over database/sql share in handling errors.
package sqlerr

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// State returns the five-character SQLSTATE of err, or "". Drivers are told apart by behaviour: pgx, lib/pq and others
// have this method.
func State(err error) string {
	var s interface{ SQLState() string }
	if errors.As(err, &s) {
		return s.SQLState()
	}
	return ""
}

// Text returns the text of an error as a text column can hold it: errors are made by anybody, and may have bytes in them that are
// not UTF-8, or a NUL, which PostgreSQL refuses and some drivers of SQLite take for the end.
func Text(text string) string { return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "") }

// WithContext makes err satisfy errors.Is(err, ctx.Err()) if ctx is done: some drivers only say that the statement was
// cancelled. The driver's error stays reachable.
func WithContext(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	cause := ctx.Err()
	if cause == nil || errors.Is(err, cause) {
		return err
	}
	return fmt.Errorf("%w: %w", cause, err)
}
