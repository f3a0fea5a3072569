package encryption

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
)

// Key is a key of a subject.
type Key struct {
	ID     int64 // from 1, rising; part of what is stored with each event
	Secret [32]byte
}

func (Key) String() string { return "encryption key" }

// GoString hides the secret from %#v.
func (Key) GoString() string { return "encryption.Key{}" }

// Format hides the secret from all verbs.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// LogValue hides the secret from loggers.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText returns an error, so that no secret is in JSON by accident.
func (Key) MarshalText() ([]byte, error) { return nil, errMarshal }

var errMarshal = errors.New("encryption: a key is not encoded as text")

// NewSecret draws a secret, for those who write a [KeyStore].
func NewSecret() (secret [32]byte) {
	rand.Read(secret[:])
	return secret
}

var (
	// ErrForgotten is returned by a [KeyStore] for a key that was deleted by Forget.
	ErrForgotten = errors.New("encryption: the key was deleted")
	// ErrNoKey is returned by a [KeyStore] for a key that it never had: it is not the one that the event was written with.
	ErrNoKey = errors.New("encryption: the key store never had this key")
)

// KeyStore keeps the keys of subjects. It may be called concurrently, from many processes on the same keys.
type KeyStore interface {
	// Current returns the key that is used for new events, and makes one if there is none, or if it was deleted. All who
	// ask at once get the same.
	Current(ctx context.Context, subject string) (Key, error)
	// Key returns a key of a subject: ErrForgotten if it was deleted, ErrNoKey if there never was such a key, or any
	// other error if it can't be had just now.
	Key(ctx context.Context, subject string, id int64) (Key, error)
	// Rotate makes a new key for new events, with a higher id. The others stay.
	Rotate(ctx context.Context, subject string) (Key, error)
	// Forget deletes all keys of a subject, for good. That there are none is no error.
	Forget(ctx context.Context, subject string) error
}

// MemoryKeys is a [KeyStore] in memory, for tests.
type MemoryKeys struct {
	mu   sync.Mutex
	keys map[string][]*Key // by id-1; nil if deleted
}

// NewMemoryKeys returns an empty one.
func NewMemoryKeys() *MemoryKeys { return &MemoryKeys{keys: map[string][]*Key{}} }

// Current implements [KeyStore].
func (m *MemoryKeys) Current(ctx context.Context, subject string) (Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return Key{}, err
	}
	if keys := m.keys[subject]; len(keys) > 0 && keys[len(keys)-1] != nil {
		return *keys[len(keys)-1], nil
	}
	return m.add(subject), nil
}

// add makes a key. m.mu is held.
func (m *MemoryKeys) add(subject string) Key {
	key := Key{ID: int64(len(m.keys[subject])) + 1, Secret: NewSecret()}
	m.keys[subject] = append(m.keys[subject], &key)
	return key
}

// Key implements [KeyStore].
func (m *MemoryKeys) Key(ctx context.Context, subject string, id int64) (Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return Key{}, err
	}
	keys := m.keys[subject]
	switch {
	case id < 1 || id > int64(len(keys)):
		return Key{}, ErrNoKey
	case keys[id-1] == nil:
		return Key{}, ErrForgotten
	}
	return *keys[id-1], nil
}

// Rotate implements [KeyStore].
func (m *MemoryKeys) Rotate(ctx context.Context, subject string) (Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return Key{}, err
	}
	return m.add(subject), nil
}

// Forget implements [KeyStore].
func (m *MemoryKeys) Forget(ctx context.Context, subject string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	clear(m.keys[subject])
	return nil
}
