package pgtest

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
)

// recorder is a test that only notes how it was ended.
type recorder struct {
	testing.TB

	ended string
}

func (r *recorder) Helper()      {}
func (r *recorder) Skip(...any)  { r.ended = "skipped"; runtime.Goexit() }
func (r *recorder) Fatal(...any) { r.ended = "failed"; runtime.Goexit() }

// Not parallel: it changes the environment and the folders searched.
func TestNoPostgreSQLIsASkipButAFailureInCI(t *testing.T) {
	before := folders
	folders = nil
	t.Cleanup(func() { folders = before })
	t.Setenv("PATH", t.TempDir())
	t.Setenv(EnvURL, "")
	for ci, want := range map[string]string{"": "skipped", "true": "failed"} {
		t.Setenv("CI", ci)
		r := &recorder{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			URL(r)
		}()
		<-done
		assert.Equal(t, want, r.ended, "CI=%q", ci)
	}
}

func TestVersionOfAFolder(t *testing.T) {
	t.Parallel()
	for dir, want := range map[string]int{
		"/usr/lib/postgresql/9.6/bin":             9,
		"/usr/lib/postgresql/15/bin":              15,
		"/usr/pgsql-17/bin":                       17,
		"/opt/homebrew/opt/postgresql@18/bin":     18,
		"/usr/local/pgsql/bin":                    0,
		"/Applications/Postgres.app/V/14/bin/bin": 14,
	} {
		assert.Equal(t, want, version(dir), dir)
	}
}
