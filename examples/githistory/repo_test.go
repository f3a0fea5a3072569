package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// testRepo is a repository in a folder of the test's, untouched by the settings of whoever runs the test.
type testRepo struct {
	t    *testing.T
	path repository
	who  string // name and email of the author
	at   string // when
}

func newRepo(t *testing.T) *testRepo {
	t.Helper()
	r := &testRepo{t: t, path: repository(t.TempDir()), who: "Ada <ada@example.org>", at: "@1000000000 +0000"}
	r.git("init", "--quiet", "--initial-branch=main")
	return r
}

// git runs git and returns what it prints.
func (r *testRepo) git(args ...string) string {
	r.t.Helper()
	name, email, _ := strings.Cut(strings.TrimSuffix(r.who, ">"), " <")
	cmd := exec.CommandContext(r.t.Context(), "git", append([]string{"-C", string(r.path)}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull,
		"GIT_AUTHOR_NAME="+name, "GIT_AUTHOR_EMAIL="+email, "GIT_AUTHOR_DATE="+r.at,
		"GIT_COMMITTER_NAME=Committer", "GIT_COMMITTER_EMAIL=committer@example.org", "GIT_COMMITTER_DATE=@1700000000 +0000")
	out, err := cmd.CombinedOutput()
	require.NoError(r.t, err, "git %v: %s", args, out)
	return strings.TrimSpace(string(out))
}

func (r *testRepo) write(name, content string) {
	r.t.Helper()
	path := filepath.Join(string(r.path), name)
	require.NoError(r.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(r.t, os.WriteFile(path, []byte(content), 0o644))
}

// commit commits all that was changed, which may be nothing, and returns the hash.
func (r *testRepo) commit(subject string) string {
	r.t.Helper()
	r.git("add", "--all")
	r.git("commit", "--quiet", "--allow-empty", "--allow-empty-message", "--cleanup=verbatim", "--message="+subject)
	return r.git("rev-parse", "HEAD")
}

// commits makes n commits by a few authors over a few months.
func (r *testRepo) commits(n int) {
	r.t.Helper()
	for i := range n {
		r.who = fmt.Sprintf("Author %d <author%d@example.org>", i/2%3, i/2%3)
		r.at = fmt.Sprintf("@%d +0200", 1_600_000_000+i*500_000)
		r.write("counter", strings.Repeat("tick\n", i))
		r.commit(fmt.Sprint("commit ", i))
	}
}
