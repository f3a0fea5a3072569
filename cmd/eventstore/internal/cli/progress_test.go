package cli

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestSigns: without a terminal, something long prints how far it is after a second and then every few seconds, even before it has
// done anything, and nothing once it has ended.
func TestSigns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		a := &app{err: &out}
		progress, stop := a.progress("importing")
		time.Sleep(firstSign + time.Millisecond)
		synctest.Wait()
		assert.Equal(t, "importing: 1s\n", out.String())
		progress(7, 9)
		time.Sleep(signEvery)
		synctest.Wait()
		assert.Contains(t, out.String(), "importing: 7 of 9 events, 77%, 6s, 1/s, 2s left\n")
		stop()
		stop()
		n := out.Len()
		time.Sleep(10 * signEvery)
		assert.Equal(t, n, out.Len())
	})
}

// TestSignsJSON: for programs a sign is an object.
func TestSignsJSON(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		a := &app{err: &out, output: "json"}
		progress, stop := a.progress("importing")
		progress(7, 9)
		time.Sleep(firstSign + time.Millisecond)
		synctest.Wait()
		stop()
		assert.Equal(t, `{"progress":"importing","done":7,"total":9,"seconds":1}`+"\n", out.String())
	})
}

// TestSignFits: the status line never fills the terminal's line, and keeps what matters most.
func TestSignFits(t *testing.T) {
	t.Parallel()
	s := sign{"importing", 123_456, 10_000_000, 61}
	for width, want := range map[int]string{
		0:  "importing: 123456 of 10000000 events, 1%, 1m1s, 2024/s, 1h21m20s left",
		80: "importing: 123456 of 10000000 events, 1%, 1m1s, 2024/s, 1h21m20s left",
		60: "importing: 123456 of 10000000 events, 1%, 1m1s, 2024/s",
		50: "importing: 123456 of 10000000 events, 1%, 1m1s",
		40: "importing: 123456 of 10000000 events",
		20: "importing: 123456 o",
		1:  "",
	} {
		assert.Equal(t, want, s.text(width), width)
	}
	for width := 1; width < 90; width++ {
		assert.Less(t, len(s.text(width)), width)
	}
}

// TestStatusLine: what is printed meanwhile stands above the status line.
func TestStatusLine(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	a := &app{out: &out, err: &out}
	a.showStatus("verifying: 1s")
	assert.NoError(t, a.say("found %s", "x"))
	a.showStatus("verifying: 2s")
	a.showStatus("")
	a.showStatus("")
	assert.Equal(t, erase+"verifying: 1s"+erase+"found x\nverifying: 1s"+erase+"verifying: 2s"+erase, out.String())
}

// TestTableFits: a table that is wider than the terminal becomes a block for each row.
func TestTableFits(t *testing.T) {
	t.Parallel()
	tab := tableOf([]string{"NAME", ">LAG"}, [][]string{{"balances", "12"}, {"a\x1b", "3"}})
	assert.Equal(t, 13, tab.width())
	assert.Equal(t, "none\n", tableOf([]string{"NAME"}, nil).blocks())
	assert.Equal(t, "NAME  balances\nLAG   12\n\nNAME  a\uFFFD\nLAG   3\n", tab.blocks())
}

// TestReflow: paragraphs are broken anew, lists are not.
func TestReflow(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "One two\nthree\nfour.\n\nCodes:\n  0  all is well, whatever\n", reflow("One two three\nfour.\n\nCodes:\n  0  all is well, whatever\n", 9))
	assert.Empty(t, reflow("", 9))
}

// TestSuggest: names that look like what was typed.
func TestSuggest(t *testing.T) {
	t.Parallel()
	names := []string{"append", "delete", "info", "link", "read"}
	for typed, want := range map[string]string{
		"raed": `: did you mean "read"?`, "apend": `: did you mean "append"?`, "del": `: did you mean "delete"?`, "reads": `: did you mean "read"?`,
		"x": "", "fo": "", "": "", "history": "",
	} {
		assert.Equal(t, want, suggest(typed, "", names), typed)
	}
	assert.Equal(t, 3, edits("kitten", "sitting"))
	assert.Equal(t, 4, edits("", "abcd"))
}
