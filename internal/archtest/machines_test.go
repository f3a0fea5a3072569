package archtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMachinesAreStill: the machines below store/internal, and their tests, start no goroutine, have no channel and no clock. Each has a test.
func TestMachinesAreStill(t *testing.T) {
	t.Parallel()
	tested := map[string]bool{}
	require.NoError(t, filepath.WalkDir("../../store/internal", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		machine := filepath.Base(filepath.Dir(path))
		tested[machine] = tested[machine] || strings.HasSuffix(path, "_test.go")
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		found, err := impurities(path, string(text))
		require.NoError(t, err)
		assert.Empty(t, strings.Join(found, "\n"))
		return nil
	}))
	assert.NotEmpty(t, tested)
	for machine, ok := range tested {
		assert.True(t, ok, "store/internal/%s has no test", machine)
	}
}

func TestImpurities(t *testing.T) {
	t.Parallel()
	const pure = `package pure
		import "time"
		type Pace struct { until time.Time; every time.Duration }
		func (p *Pace) Due(now time.Time) bool { return !now.Before(p.until) }
		func (p *Pace) Again(now time.Time) { p.until = now.Add(2 * time.Second); p.Now() }
		func (p *Pace) Now() {}
		var clock struct{ Now func() }
		func use() { clock.Now() }`
	found, err := impurities("pure.go", pure)
	require.NoError(t, err)
	assert.Empty(t, found)

	for _, bad := range []struct{ text, want string }{
		{"func f() { go f() }", "bad.go:2:12: a machine below store/internal starts no goroutine"},
		{"type t struct { done chan struct{} }", "has no channel"},
		{"func f[C any](c C) { c <- 1 }", "has no channel"},
		{"func f[C any](c C) { <-c }", "has no channel"},
		{"func f() { select {} }", "has no channel"},
		{"import \"time\"; func f() { _ = time.Now() }", "bad.go:2:31: a machine below store/internal has no clock: time.Now"},
		{"import \"time\"; func f(t time.Time) { _ = time.Since(t) }", "has no clock: time.Since"},
		{"import \"time\"; var now = time.Now", "has no clock: time.Now"},
		{"import \"time\"; var timer *time.Timer", "has no clock: time.Timer"},
		{"import clock \"time\"; func f() { clock.Sleep(1) }", "has no clock: time.Sleep"},
		{"import . \"time\"; var now = Now", "does not import time as ."},
	} {
		found, err := impurities("bad.go", "package bad\n"+bad.text)
		require.NoError(t, err)
		assert.Contains(t, strings.Join(found, "\n"), bad.want, bad.text)
	}
	_, err = impurities("bad.go", "package")
	assert.Error(t, err)
}
