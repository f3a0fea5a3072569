package telemetry

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/store"
)

func TestFind(t *testing.T) {
	t.Parallel()
	for object, want := range map[string]string{ // "?" stands for no answer
		`{"k":"v"}`: "v",
		" { \"a\" : 1 , \"k\" : \"v\" , \"z\" : [] }": "v",
		`{"a":null,"b":true,"c":-1.5e3,"d":"x"}`:      "",
		`{"k":1}`:                                     "",
		`{"a":{},"k":"v"}`:                            "?",
		`{"a":["k"],"k":"v"}`:                         "?",
		`{"a":"\"k\":\"w\"","k":"v"}`:                 "?",
		`{"k":"\u0076"}`:                              "?",
		`{}`:                                          "?",
		`["k","v"]`:                                   "?",
		`{"k":"v`:                                     "?",
		`{"a":1`:                                      "?",
		``:                                            "?",
	} {
		got, ok := find([]byte(object), "k")
		if !ok {
			got = "?"
		}
		assert.Equal(t, want, got, object)
		c := carrier{event: &store.Recorded{Metadata: []byte(object)}}
		var members map[string]any
		if json.Unmarshal([]byte(object), &members) == nil {
			text, _ := members["k"].(string)
			assert.Equal(t, text, c.Get("k"), object)
		}
	}
	c := carrier{event: &store.Recorded{Metadata: []byte(`{"a":"1","b":{}}`)}}
	assert.Equal(t, []string{"a"}, c.Keys())
}

// FuzzFind compares find with encoding/json.
func FuzzFind(f *testing.F) {
	f.Add([]byte(`{"a" : 1, "k":"v","b":{"k":"w"}}`))
	f.Add([]byte(`{"traceparent":"00-1","k":"","z":[{"k":"\""}]}`))
	f.Fuzz(func(t *testing.T, object []byte) {
		got, ok := find(object, "k") // of anything, without a panic
		var members map[string]json.RawMessage
		if !ok || json.Unmarshal(object, &members) != nil || strings.Count(string(object), `"k"`) > 1 || strings.Contains(string(object), `\`) || !utf8.Valid(object) {
			return
		}
		var want string
		_ = json.Unmarshal(members["k"], &want)
		require.Equal(t, want, got)
	})
}
