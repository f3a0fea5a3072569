// Package sqlkeys keeps the keys of subjects in a table of a PostgreSQL or SQLite database, each encrypted with a master key
// that is not in the database. Keep the table out of the backups that you keep for long: a key that comes back with a
// backup is not forgotten.
package sqlkeys

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"database/sql"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/eventstore-go/eventstore/serializer/encryption"
	"github.com/eventstore-go/eventstore/store"
)

var _ encryption.KeyStore = (*Keys)(nil)

//go:embed queries.sql
var queriesFile string

// Options of [New].
type Options struct {
	// MasterKeys encrypt the keys in the table, 32 bytes each. The first encrypts, all decrypt. To change it, give all
	// processes the new one behind the old one; when all have it, put it in front; then call Rewrap. At least one is needed.
	MasterKeys [][]byte
	// Prefix stands before the name of the table, subject_keys: letters, digits, underscores, and a schema with its dot.
	// Default: none.
	Prefix string
}

// Table is the name of the table, behind [Options].Prefix.
const Table = "subject_keys"

// Keys is an [encryption.KeyStore] in a database. It is safe for concurrent use.
type Keys struct {
	db      *sql.DB
	masters []cipher.AEAD
	queries map[string]string
}

var prefix = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*\.)?([A-Za-z_][A-Za-z0-9_]*)?$`)

// New returns the keys in db, which stays the caller's. Create makes the table. Errors are [store.ErrInvalid].
func New(db *sql.DB, opts *Options) (*Keys, error) {
	if opts == nil || len(opts.MasterKeys) == 0 {
		return nil, &store.InvalidError{Field: "sqlkeys.Options.MasterKeys", Reason: "are empty: give one of 32 random bytes, and keep it apart from the database"}
	}
	if err := CheckPrefix(opts.Prefix); err != nil {
		return nil, err
	}
	k := &Keys{db: db, queries: parse(opts.Prefix)}
	for i, master := range opts.MasterKeys {
		if len(master) != 32 {
			return nil, &store.InvalidError{Field: fmt.Sprintf("sqlkeys.Options.MasterKeys[%d]", i), Reason: fmt.Sprintf("has %d bytes, not 32", len(master))}
		}
		block, err := aes.NewCipher(master)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, err
		}
		k.masters = append(k.masters, aead)
	}
	return k, nil
}

// CheckPrefix returns why a text can't be [Options].Prefix, an error that is [store.ErrInvalid], or nil.
func CheckPrefix(text string) error {
	if prefix.MatchString(text) {
		return nil
	}
	return &store.InvalidError{Field: "sqlkeys.Options.Prefix", Reason: fmt.Sprintf("%q is no beginning of a name", text)}
}

// parse returns the statements by name.
func parse(prefix string) map[string]string {
	queries := map[string]string{}
	for _, part := range strings.Split(queriesFile, "\n-- name: ")[1:] {
		name, text, _ := strings.Cut(part, "\n")
		queries[name] = strings.ReplaceAll(text, "/*prefix*/", prefix)
	}
	return queries
}

// Create makes the table if it is not there. Many may call it at once.
func (k *Keys) Create(ctx context.Context) error {
	_, err := k.db.ExecContext(ctx, k.queries["create"])
	if err == nil {
		return nil
	}
	if _, e := k.Key(ctx, "", 0); errors.Is(e, encryption.ErrNoKey) {
		return nil // PostgreSQL lets one of two that create it at once fail
	}
	return wrapped(ctx, "create", err)
}

// Current implements [encryption.KeyStore].
func (k *Keys) Current(ctx context.Context, subject string) (encryption.Key, error) {
	return k.newest(ctx, subject, 0)
}

// Rotate implements [encryption.KeyStore].
func (k *Keys) Rotate(ctx context.Context, subject string) (encryption.Key, error) {
	id, _, err := k.last(ctx, subject)
	if err != nil {
		return encryption.Key{}, err
	}
	return k.newest(ctx, subject, id)
}

// newest returns the newest key, if its id is above that one; otherwise it makes one.
func (k *Keys) newest(ctx context.Context, subject string, above int64) (encryption.Key, error) {
	var failed error
	for {
		id, secret, err := k.last(ctx, subject)
		switch {
		case err != nil:
			return encryption.Key{}, err
		case id > above && secret.Valid:
			return k.unwrap(subject, id, secret.String)
		case failed != nil:
			return encryption.Key{}, failed
		}
		// Whoever else adds this id now, the next look finds it.
		key := encryption.Key{ID: id + 1, Secret: encryption.NewSecret()}
		_, err = k.db.ExecContext(ctx, k.queries["add"], subject, key.ID, k.wrap(subject, key))
		failed = wrapped(ctx, "add", err) // at REPEATABLE READ also if somebody else has just added it, which is as good
		above = max(above, id)
	}
}

// last returns the newest row of a subject, with id 0 if there is none.
func (k *Keys) last(ctx context.Context, subject string) (id int64, secret sql.NullString, err error) {
	err = k.db.QueryRowContext(ctx, k.queries["current"], subject).Scan(&id, &secret)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, secret, nil
	}
	return id, secret, wrapped(ctx, "current", err)
}

// Key implements [encryption.KeyStore].
func (k *Keys) Key(ctx context.Context, subject string, id int64) (encryption.Key, error) {
	var secret sql.NullString
	err := k.db.QueryRowContext(ctx, k.queries["key"], subject, id).Scan(&secret)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return encryption.Key{}, encryption.ErrNoKey
	case err != nil:
		return encryption.Key{}, wrapped(ctx, "key", err)
	case !secret.Valid:
		return encryption.Key{}, encryption.ErrForgotten
	}
	return k.unwrap(subject, id, secret.String)
}

// Forget implements [encryption.KeyStore].
func (k *Keys) Forget(ctx context.Context, subject string) error {
	_, err := k.db.ExecContext(ctx, k.queries["forget"], subject)
	return wrapped(ctx, "forget", err)
}

// Rewrap encrypts all keys with the first master key, but for those that are already. It may be called while they are in
// use, and again if it fails half-way. Afterwards the other master keys are not needed any more.
//
// A key that no master key fits stays as it is; the others are encrypted all the same. The error joins those of all such
// keys, see [MasterKeyError], and the database's, which ends it.
func (k *Keys) Rewrap(ctx context.Context) error {
	var bad []error
	var after row
	for {
		page, err := k.page(ctx, after)
		if err != nil {
			return errors.Join(append(bad, wrapped(ctx, "page", err))...)
		}
		if len(page) == 0 {
			return errors.Join(bad...)
		}
		for _, r := range page {
			key, master, err := k.decrypt(r.subject, r.id, r.secret)
			if err != nil {
				bad = append(bad, err)
			}
			if err != nil || master == 0 {
				continue
			}
			if _, err := k.db.ExecContext(ctx, k.queries["rewrap"], k.wrap(r.subject, key), r.subject, r.id, r.secret); err != nil {
				return errors.Join(append(bad, wrapped(ctx, "rewrap", err))...)
			}
		}
		after = page[len(page)-1]
	}
}

// row is a key as stored.
type row struct {
	subject string
	id      int64
	secret  string
}

// page returns the next keys behind one.
func (k *Keys) page(ctx context.Context, after row) (page []row, err error) {
	rows, err := k.db.QueryContext(ctx, k.queries["page"], after.subject, after.id)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.subject, &r.id, &r.secret); err != nil {
			return nil, err
		}
		page = append(page, r)
	}
	return page, rows.Err()
}

// wrap encrypts a key with the first master key.
func (k *Keys) wrap(subject string, key encryption.Key) string {
	return base64.StdEncoding.EncodeToString(k.masters[0].Seal(nil, nil, key.Secret[:], owner(subject, key.ID)))
}

// unwrap decrypts a key.
func (k *Keys) unwrap(subject string, id int64, text string) (encryption.Key, error) {
	key, _, err := k.decrypt(subject, id, text)
	return key, err
}

// decrypt decrypts a key, and returns which master key did it.
func (k *Keys) decrypt(subject string, id int64, text string) (key encryption.Key, master int, err error) {
	sealed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return key, 0, fmt.Errorf("sqlkeys: key %d of subject %q is damaged: %w", id, subject, err)
	}
	for i, aead := range k.masters {
		secret, err := aead.Open(nil, nil, sealed, owner(subject, id))
		if err == nil && copy(key.Secret[:], secret) == len(key.Secret) {
			key.ID = id
			return key, i, nil
		}
	}
	return encryption.Key{}, 0, &MasterKeyError{Subject: subject, ID: id}
}

// owner is authenticated with a key, so that no row can be put in the place of another.
func owner(subject string, id int64) []byte { return fmt.Appendf(nil, "%d %s", id, subject) }

// wrapped names the statement, and makes the error ctx's if that has ended: lib/pq alone doesn't.
func wrapped(ctx context.Context, statement string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("sqlkeys: %s: %w", statement, err)
	if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return err
}
