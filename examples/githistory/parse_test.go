package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const logged = "h1\x00\x00Ada\x00ada@x\x001\x00first\x00\n1\t0\ta\x000\t0\t\x00old\x00new\x00h2\x00h1 h0\x00Bob\x00\x002\x00\x00"

func TestParse(t *testing.T) {
	t.Parallel()
	var got []commit
	for c, err := range parse(strings.NewReader(logged)) {
		require.NoError(t, err)
		got = append(got, c)
	}
	assert.Equal(t, []commit{
		{Hash: "h1", Parents: []string{}, Name: "Ada", Email: "ada@x", Time: time.Unix(1, 0).UTC(), Subject: "first",
			Files: []file{{Path: "a", Added: 1}, {Path: "new", From: "old"}}},
		{Hash: "h2", Parents: []string{"h1", "h0"}, Name: "Bob", Time: time.Unix(2, 0).UTC()},
	}, got)
}

// Output that ends where it should not is an error, after the commits that are whole.
func TestParseCutShort(t *testing.T) {
	t.Parallel()
	for n := range len(logged) {
		text := logged[:n]
		whole := n == 0 || strings.HasSuffix(text, "first\x00") || strings.HasSuffix(text, "\ta\x00") || strings.HasSuffix(text, "new\x00")
		var last error
		for _, err := range parse(strings.NewReader(text)) {
			require.NoError(t, last, "an error comes last")
			last = err
		}
		assert.Equal(t, whole, last == nil, "%q: %v", text, last)
	}
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"1000000000": 1000000000, "-1": -1, "": 0, "now": 0, "99999999999999": 0, "253402300799": 253402300799, "253402300800": 0,
	} {
		assert.Equal(t, time.Unix(want, 0).UTC(), parseTime(text), text)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(logged)
	f.Add("h\x00\x00\x00\x00\x00\x00\n-\t-\t\x00\x00\x00")
	f.Fuzz(func(t *testing.T, text string) {
		var last error
		for c, err := range parse(strings.NewReader(text)) {
			require.NoError(t, last, "an error comes last")
			if last = err; err == nil {
				require.NotEmpty(t, c.stream())
			}
		}
	})
}
