// Package encryption encrypts what package serializer encodes, with a key for each subject: a person, a customer, a tenant.
// When the key is deleted, nobody can read the subject's events any more, wherever there are copies of them; everything
// else stays as it is. That is how a person is forgotten in a history that does not change.
//
//	keys, err := sqlkeys.New(db, &sqlkeys.Options{MasterKeys: [][]byte{master}})
//	secret := encryption.New(keys, nil, nil)
//	es := store.New(backend, &store.Options{Serializer: serializer.New(serializer.JSONFormat{}, &serializer.Options{
//		Types: types, Codings: []serializer.Coding{zstd.New(nil), secret}, // compress first
//	})})
//	...
//	err = secret.Forget(ctx, "customer-7")
//
// The algorithm is AES-256-GCM (NIST SP 800-38D) with a random nonce for each event. The key's id, the subject and the
// event's type are authenticated: an event can't be passed off as another subject's, or as one of another type. A key is
// good for 2³² events; rotate keys of subjects with more.
//
// The subject's name, the type, the time and the size of events are not secret. Names of streams are not, either: use ids.
package encryption

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/eventstore-go/eventstore/serializer"
)

var _ serializer.Coding = (*Coding)(nil)

// Defaults of [Options].
const (
	DefaultCacheFor = time.Minute
	DefaultTimeout  = 5 * time.Second
)

// NoCache, as Options.CacheFor, keeps no key in memory: the key store is asked each time.
const NoCache time.Duration = -1

// MaxSubject is how long the name of a subject may be, in bytes.
const MaxSubject = 1000

// Options of a [Coding]. The zero value of each field is its default.
type Options struct {
	// CacheFor is how long a key is kept in memory. That is also how long another process can still read, and write, what
	// was forgotten here. NoCache: not at all. Default: DefaultCacheFor.
	CacheFor time.Duration
	// Timeout is how long a call of the key store may take. Default: DefaultTimeout.
	Timeout time.Duration
}

// Coding encrypts. It is safe for concurrent use.
type Coding struct {
	keys    KeyStore
	subject func(eventType string, value any) string
	timeout time.Duration
	cache   *cache
}

// New returns a coding with the keys of a key store. subject returns whose a value is, "" if it is not to be encrypted; nil
// asks values that are a [Subject], and encrypts no others.
//
// An append in a transaction calls the key store meanwhile, unless the key is in memory. Where the key store must wait for
// that very transaction (keys that are to be made in the same SQLite database, a pool of one connection) the append fails
// after Timeout: keep the keys in another database there, or call Prepare before the transaction.
func New(keys KeyStore, subject func(eventType string, value any) string, opts *Options) *Coding {
	o := Options{CacheFor: DefaultCacheFor, Timeout: DefaultTimeout}
	if opts != nil && opts.CacheFor != 0 {
		o.CacheFor = opts.CacheFor
	}
	if opts != nil && opts.Timeout > 0 {
		o.Timeout = opts.Timeout
	}
	if subject == nil {
		subject = subjectOf
	}
	return &Coding{keys: keys, subject: subject, timeout: o.Timeout, cache: &cache{keep: o.CacheFor, subjects: map[string]*cached{}}}
}

// Name implements [serializer.Coding].
func (*Coding) Name() string { return "aes" }

// Forget deletes all keys of a subject. From now on its events are [serializer.Forgotten]: here at once, in other processes
// when their cache has run out. An event that is appended for the subject later has a new key.
func (c *Coding) Forget(ctx context.Context, subject string) error {
	if err := CheckSubject(subject); err != nil {
		return err
	}
	err := c.keys.Forget(ctx, subject)
	c.cache.drop(subject)
	return err
}

// Rotate makes a new key for the subject's new events. Old ones stay readable, with the keys they have.
func (c *Coding) Rotate(ctx context.Context, subject string) error {
	if err := CheckSubject(subject); err != nil {
		return err
	}
	_, err := c.keys.Rotate(ctx, subject)
	c.cache.drop(subject)
	return err
}

// Prepare has the subject's current key made, and kept in memory for CacheFor at most.
func (c *Coding) Prepare(ctx context.Context, subject string) error {
	if err := CheckSubject(subject); err != nil {
		return err
	}
	_, err := c.key(ctx, subject, 0)
	return err
}

// What is stored is a byte for the version of this form, the key's id, the length of the subject, the subject, the nonce, and
// what was encrypted with its tag. All before the nonce, and the event's type, are authenticated.
const (
	form     = 1
	overhead = 12 + 16 // nonce and tag
)

// Encode implements [serializer.Coding].
func (c *Coding) Encode(p serializer.Plain) (coded []byte, applied bool, err error) {
	subject := c.subject(p.EventType, p.Value)
	if subject == "" {
		return nil, false, nil
	}
	if err := CheckSubject(subject); err != nil {
		return nil, false, err
	}
	key, err := c.key(context.Background(), subject, 0)
	if err != nil {
		return nil, false, fmt.Errorf("encryption: the key of subject %q: %w", subject, err)
	}
	aead, err := newGCM(key)
	if err != nil {
		return nil, false, err
	}
	out := make([]byte, 0, 1+2*binary.MaxVarintLen64+len(subject)+len(p.Data)+aead.Overhead())
	out = append(out, form)
	out = binary.AppendUvarint(out, uint64(key.ID))
	out = binary.AppendUvarint(out, uint64(len(subject)))
	out = append(out, subject...)
	return aead.Seal(out, nil, p.Data, authenticated(out, p.EventType)), true, nil
}

// MalformedError says that bytes are nothing that this package has encrypted, or that they were changed.
type MalformedError struct{ Reason string }

func (e *MalformedError) Error() string { return "encryption: " + e.Reason }

// Decode implements [serializer.Coding]. The error is a [serializer.ForgottenError] if the key was deleted, a
// [MalformedError], or the key store's.
func (c *Coding) Decode(eventType string, coded []byte) ([]byte, error) {
	id, subject, header, err := parse(coded)
	if err != nil {
		return nil, err
	}
	key, err := c.key(context.Background(), subject, id)
	switch {
	case errors.Is(err, ErrForgotten):
		return nil, &serializer.ForgottenError{Subject: subject}
	case err != nil:
		return nil, fmt.Errorf("encryption: key %d of subject %q: %w", id, subject, err)
	}
	aead, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	data, err := aead.Open(nil, nil, coded[header:], authenticated(coded[:header], eventType))
	if err != nil {
		return nil, &MalformedError{fmt.Sprintf("the data of subject %q was changed, or belongs to another event type than %q", subject, eventType)}
	}
	return data, nil
}

// parse reads the header.
func parse(coded []byte) (id int64, subject string, header int, err error) {
	if len(coded) == 0 || coded[0] != form {
		return 0, "", 0, &MalformedError{"the data is empty, or of another form"}
	}
	at := 1
	n, width := binary.Uvarint(coded[at:])
	if width <= 0 || n == 0 || n > 1<<62 {
		return 0, "", 0, &MalformedError{"the key's id is cut off, or can't be"}
	}
	at += width
	length, width := binary.Uvarint(coded[at:])
	at += max(width, 0)
	if width <= 0 || length == 0 || length > MaxSubject || length > uint64(len(coded)-at) {
		return 0, "", 0, &MalformedError{"the subject is cut off, or too long"}
	}
	header = at + int(length) //nolint:gosec // at most MaxSubject
	subject = string(coded[at:header])
	switch {
	case CheckSubject(subject) != nil:
		return 0, "", 0, &MalformedError{"the subject is none"}
	case len(coded)-header < overhead:
		return 0, "", 0, &MalformedError{"the data is cut off"}
	}
	return int64(n), subject, header, nil
}

// key returns a key, the current one for id 0. That one was deleted is kept in memory like a key: it stays true.
func (c *Coding) key(ctx context.Context, subject string, id int64) (Key, error) {
	found, ok, drops := c.cache.get(subject, id)
	if ok {
		return found.Key, found.err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	began := time.Now()
	var key Key
	var err error
	if id == 0 {
		key, err = c.keys.Current(ctx, subject)
	} else {
		key, err = c.keys.Key(ctx, subject, id)
	}
	switch {
	case err == nil:
		c.cache.put(subject, known{Key: key}, id == 0, drops, began)
	case id != 0 && errors.Is(err, ErrForgotten):
		c.cache.put(subject, known{Key{ID: id}, err}, false, drops, began)
	}
	return key, err
}

func newGCM(key Key) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key.Secret[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// authenticated returns what is authenticated beside the data.
func authenticated(header []byte, eventType string) []byte {
	return append(append(make([]byte, 0, len(header)+len(eventType)), header...), eventType...)
}
