package encryption_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/serializer/encryption"
	"github.com/eventstore-go/eventstore/store"
)

type account struct{ Owner string }

func (a *account) EventSubject() string { return a.Owner }

func TestWhoseAValueIs(t *testing.T) {
	t.Parallel()
	coding := encryption.New(encryption.NewMemoryKeys(), nil, nil)
	var none *registered
	for name, c := range map[string]struct {
		value any
		want  bool
	}{
		"value": {registered{Customer: "c"}, true}, "pointer": {&registered{Customer: "c"}, true},
		"pointer method": {&account{"c"}, true}, "pointer method, value appended": {account{"c"}, true},
		"nobody": {registered{}, false}, "no method": {opened{"c"}, false}, "nil": {nil, false}, "nil pointer": {none, false},
	} {
		_, applied, err := coding.Encode(serializer.Plain{EventType: "t", Value: c.value, Data: []byte("{}")})
		require.NoError(t, err, name)
		assert.Equal(t, c.want, applied, name)
	}
}

func TestWhatIsNoSubject(t *testing.T) {
	t.Parallel()
	coding := encryption.New(encryption.NewMemoryKeys(), nil, nil)
	for _, bad := range []string{"", strings.Repeat("s", encryption.MaxSubject+1), "\xff", "a\x00"} {
		var wrong *encryption.SubjectError
		require.ErrorAs(t, coding.Forget(t.Context(), bad), &wrong)
		require.ErrorAs(t, coding.Rotate(t.Context(), bad), &wrong)
		require.ErrorAs(t, coding.Prepare(t.Context(), bad), &wrong)
		if bad != "" && len(bad) <= encryption.MaxSubject {
			data := append(append([]byte{1, 1, byte(len(bad))}, bad...), make([]byte, 40)...)
			_, err := coding.Decode("t", data)
			var malformed *encryption.MalformedError
			require.ErrorAs(t, err, &malformed, "no key store is asked for it")
		}
	}
}

func TestForgottenIsKeptInMemory(t *testing.T) {
	t.Parallel()
	keys := &counting{KeyStore: encryption.NewMemoryKeys()}
	coding := encryption.New(keys, nil, nil)
	coded, _, err := coding.Encode(serializer.Plain{EventType: "t", Value: registered{Customer: "c"}})
	require.NoError(t, err)
	require.NoError(t, coding.Forget(t.Context(), "c"))
	before := keys.count()
	for range 100 {
		_, err = coding.Decode("t", coded)
		require.ErrorIs(t, err, store.ErrForgotten)
	}
	assert.Equal(t, 1, keys.count()-before)
}

func TestPrepare(t *testing.T) {
	t.Parallel()
	keys := &counting{KeyStore: encryption.NewMemoryKeys()}
	coding := encryption.New(keys, nil, nil)
	require.NoError(t, coding.Prepare(t.Context(), "c"))
	_, _, err := coding.Encode(serializer.Plain{EventType: "t", Value: registered{Customer: "c"}})
	require.NoError(t, err)
	assert.Equal(t, 1, keys.count())
}

func TestNoVerbPrintsASecret(t *testing.T) {
	t.Parallel()
	key := encryption.Key{ID: 1, Secret: [32]byte{90, 91, 92}}
	var out strings.Builder
	for _, v := range []any{key, &key, []encryption.Key{key}, struct{ K encryption.Key }{key}} {
		for _, verb := range "vsdxXqobcU" {
			fmt.Fprintf(&out, "%"+string(verb)+" %+"+string(verb)+" %#"+string(verb)+"\n", v, v, v)
		}
		slog.New(slog.NewJSONHandler(&out, nil)).Info("k", "k", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("k", "k", v)
		_, err := json.Marshal(v)
		require.Error(t, err)
	}
	for _, shown := range []string{"90 91", "90, 91", "90,91", "5a", "5A", "Z[", "0x5a", "132 133", "1011010"} {
		assert.NotContains(t, out.String(), shown)
	}
}
