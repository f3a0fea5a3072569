package postgres

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/eventstore-go/eventstore/backend/internal/sqlerr"
	"github.com/eventstore-go/eventstore/store"
)

// checkSettings refuses sessions in which statements would mean something else, or guards would not run, and finds out how the driver
// reads bytes. All other settings change nothing that the store writes or reads.
func (b *Backend) checkSettings(ctx context.Context) error {
	var server, client, bytes, dates, replication string
	var pathed bool
	if _, err := b.one(ctx, "settings", nil, &server, &client, &bytes, &dates, &replication, &pathed); err != nil {
		return err
	}
	const where = "set it in the connection string, or alter the role or the database that sets it"
	switch {
	case server != "UTF8":
		return &store.InvalidError{Field: "database", Reason: fmt.Sprintf(
			"is encoded in %s, must be in UTF8; create another one: create database … encoding 'UTF8' template template0", server)}
	case client != "UTF8":
		return &store.InvalidError{Field: "client_encoding", Reason: fmt.Sprintf("is %s, must be UTF8; %s", client, where)}
	case replication == "replica":
		return &store.InvalidError{Field: "session_replication_role", Reason: "is replica, so that no trigger guards recorded events, must be origin; " + where}
	}
	if pathed {
		var schema, kind, name string
		found, err := b.one(ctx, "shadowed", nil, &schema, &kind, &name)
		if err != nil {
			return err
		}
		if found {
			return &store.InvalidError{Field: "search_path", Reason: fmt.Sprintf(
				"finds the %s %s of the schema %q before PostgreSQL's own, must have pg_catalog first, or not at all; %s", kind, name, schema, where)}
		}
	}
	if !strings.HasPrefix(dates, "ISO") {
		var read time.Time
		ok, err := b.reads(ctx, "time", &read)
		if err != nil {
			return err
		}
		if !ok || !read.Equal(anyTime) {
			return &store.InvalidError{Field: "DateStyle", Reason: fmt.Sprintf("is %s, which the driver can't read, must be ISO; %s", dates, where)}
		}
	}
	if bytes != "hex" {
		var read []byte
		ok, err := b.reads(ctx, "bytes", &read)
		if err != nil {
			return err
		}
		b.hex.Store(!ok || string(read) != anyBytes)
	}
	return nil
}

// What the statements "time" and "bytes" return.
var anyTime = time.UnixMicro(-123_456).UTC()

const anyBytes = "\x00\\'\xff"

// reads reports whether the driver reads what a statement returns. The error is not the driver's, but that of the connection.
func (b *Backend) reads(ctx context.Context, statement string, into any) (bool, error) {
	_, err := b.one(ctx, statement, nil, into)
	if err != nil && (ctx.Err() != nil || sqlerr.State(err) != "" || lost(err)) {
		return false, err
	}
	return err == nil, nil
}

// text returns the statement called name, as the driver can read its answer. pgx, where it has answers sent as text (simple_protocol,
// exec), reads bytes only if bytea_output is hex. If that is not so, statements send bytes by the function hex, as text.
func (b *Backend) text(name string) string {
	if b.hex.Load() {
		return b.hexQueries().Get(name)
	}
	return b.queries.Get(name)
}

// unhex undoes what the function hex has done to values, if statements send them by it.
func (b *Backend) unhex(values ...*[]byte) error {
	if !b.hex.Load() {
		return nil
	}
	for _, v := range values {
		if *v == nil {
			continue
		}
		digits, found := strings.CutPrefix(string(*v), `\x`)
		decoded, err := hex.DecodeString(digits)
		if err != nil || !found {
			return fmt.Errorf("postgres: the function hex returned %.20q: %w", *v, err)
		}
		*v = decoded
	}
	return nil
}
