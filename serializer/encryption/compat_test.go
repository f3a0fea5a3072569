package encryption_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/serializer/encryption"
)

// TestStoredForm writes the bytes by hand: what is stored must stay readable.
func TestStoredForm(t *testing.T) {
	t.Parallel()
	keys := encryption.NewMemoryKeys()
	key, err := keys.Current(t.Context(), "c-1")
	require.NoError(t, err)
	block, err := aes.NewCipher(key.Secret[:])
	require.NoError(t, err)
	gcm, err := cipher.NewGCM(block)
	require.NoError(t, err)
	header, nonce := []byte("\x01\x01\x03c-1"), bytes.Repeat([]byte{7}, 12)
	stored := append(append(bytes.Clone(header), nonce...), gcm.Seal(nil, nonce, []byte("some data"), append(bytes.Clone(header), "t"...))...)
	data, err := encryption.New(keys, nil, nil).Decode("t", stored)
	require.NoError(t, err)
	require.Equal(t, "some data", string(data))
}
