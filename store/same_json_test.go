package store

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSameJSON(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("9", 40)
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{`{"a":1,"b":[true,null,"x"]}`, ` { "b" : [ true , null , "x" ] , "a" : 1 } `, true},
		{`{"a":1}`, `{"a":2}`, false},
		{`{"a":1}`, `{"a":1,"b":null}`, false},
		{`{"a":null}`, `{"b":null}`, false},
		{`{"a":1,"a":2}`, `{"a":2}`, true},
		{`[1,2]`, `[2,1]`, false},
		{`[1]`, `[1,1]`, false},
		{`[]`, `{}`, false},
		{`1`, `"1"`, false},
		{`null`, `false`, false},
		{`"é"`, `"\u00e9"`, true},
		{`"a"`, `"A"`, false},
		{`1`, `1.0`, true},
		{`1`, `10e-1`, true},
		{`100`, `1e2`, true},
		{`1.50`, `15E-1`, true},
		{`0.001`, `1e-3`, true},
		{`0`, `-0.0e7`, true},
		{`1`, `-1`, false},
		{`1e131071`, `10e131070`, true},
		{`1e131071`, `1e131070`, false},
		{`1e99999999999`, `1e99999999999`, true},
		{`1e99999999999`, `10e99999999998`, false}, // no database keeps it
		{long, long[1:] + "8", false},
		{long, long + ".0", true},
		{`1`, ``, false},
		{`{`, `{`, false},
	} {
		assert.Equal(t, c.same, sameJSON([]byte(c.a), []byte(c.b)), "%s and %s", c.a, c.b)
		assert.Equal(t, c.same, sameJSON([]byte(c.b), []byte(c.a)), "%s and %s", c.b, c.a)
	}
}
