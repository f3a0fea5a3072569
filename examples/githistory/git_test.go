package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// read reads the whole history, parents first.
func read(t *testing.T, r *testRepo) []commit {
	t.Helper()
	hashes, err := r.path.hashes(t.Context())
	require.NoError(t, err)
	var wanted []string
	for _, h := range hashes {
		wanted = append([]string{h.commit}, wanted...)
	}
	var commits []commit
	for c, err := range r.path.commits(t.Context(), wanted) {
		require.NoError(t, err)
		commits = append(commits, c)
	}
	return commits
}

func TestOddCommits(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	var want []commit
	add := func(subject string, files ...file) {
		t.Helper()
		c := commit{Hash: r.commit(subject), Subject: subject, Name: "Ada", Email: "ada@example.org", Time: time.Unix(1000000000, 0).UTC(), Files: files}
		if len(want) > 0 {
			c.Parents = []string{want[len(want)-1].Hash}
		}
		want = append(want, c)
	}

	const newline, numstat = "a\nb", "1\t2\tthree"
	r.write(newline, "1\n2\n")
	r.write(numstat, "x")
	r.write("-dash \"quoted\" ⇥ \\", "x\n")
	r.write("binary", "\x00\x01")
	add("first", file{Path: "-dash \"quoted\" ⇥ \\", Added: 1}, file{Path: numstat, Added: 1}, file{Path: newline, Added: 2}, file{Path: "binary", Binary: true})
	add("nothing changed")
	add("")
	add("5\t5\tlooks like a file")
	r.git("mv", newline, "dir\tname")
	r.git("rm", "--quiet", "--", numstat)
	add("rename", file{Path: numstat, Deleted: 1}, file{Path: "dir\tname", From: newline})
	r.write("bad\xffutf8", "x\n")
	add("not UTF-8", file{Path: "bad\xffutf8", Added: 1})
	r.git("rm", "--quiet", "-r", ".")
	add("all gone", file{Path: "-dash \"quoted\" ⇥ \\", Deleted: 1}, file{Path: "bad\xffutf8", Deleted: 1}, file{Path: "binary", Binary: true}, file{Path: "dir\tname", Deleted: 2})

	got := read(t, r)
	require.Len(t, got, len(want))
	for i := range want {
		assert.ElementsMatch(t, want[i].Files, got[i].Files, want[i].Subject)
		got[i].Files, want[i].Files = nil, nil
		if len(got[i].Parents) == 0 {
			got[i].Parents = nil
		}
		assert.Equal(t, want[i], got[i])
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	root := r.commit("root")
	r.git("switch", "--quiet", "--create", "side")
	r.write("side", "x\n")
	side := r.commit("side")
	r.git("switch", "--quiet", "main")
	r.write("main", "x\n")
	main := r.commit("main")
	r.git("merge", "--quiet", "--no-edit", "side")

	got := read(t, r)
	require.Len(t, got, 4)
	merge := got[3]
	assert.Equal(t, []string{main, side}, merge.Parents)
	assert.Empty(t, merge.Files)
	assert.Equal(t, eventID(main), merge.event().CausationID)
	assert.Zero(t, got[0].event().CausationID)
	assert.Equal(t, eventID(root), got[0].event().ID)
}

// The user's settings don't change what is read.
func TestUserSettings(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	r.write("a", "1\n2\n3\n")
	r.commit("first")
	r.git("mv", "a", "b")
	r.commit("second")
	want := read(t, r)
	for setting, value := range map[string]string{
		"log.showRoot": "false", "log.showSignature": "true", "diff.renames": "false", "color.ui": "always",
		"diff.relative": "true", "log.date": "relative", "format.pretty": "oneline", "diff.noprefix": "true",
		"i18n.logOutputEncoding": "latin1", "core.quotePath": "true", "log.follow": "true", "diff.stat": "true",
	} {
		r.git("config", setting, value)
	}
	assert.Equal(t, want, read(t, r))
}

func TestMailmap(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	r.who = "A. Typo <typo@example.org>"
	r.commit("first")
	r.write(".mailmap", "Ada <Ada@Example.org> <typo@example.org>\n")
	r.commit("second")
	for _, c := range read(t, r) {
		assert.Equal(t, "author-ada@example.org", c.stream())
	}
}

func TestNoCommits(t *testing.T) {
	t.Parallel()
	assert.Empty(t, read(t, newRepo(t)))
}

func TestNoRepository(t *testing.T) {
	t.Parallel()
	_, err := repository("/nonexistent").hashes(t.Context())
	require.ErrorContains(t, err, "/nonexistent")
	for _, err = range newRepo(t).path.commits(t.Context(), []string{strings.Repeat("0", 40)}) {
		require.Error(t, err)
	}
	require.ErrorContains(t, err, "git in")
}

func TestStream(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]commit{
		"author-ada@example.org":             {Name: "Ada", Email: "Ada@Example.org"},
		"author-ada":                         {Name: "Ada"},
		"author-unknown":                     {},
		"author-\uFFFD@x":                    {Email: "\xff@x"},
		"author-" + strings.Repeat("é", 496): {Email: strings.Repeat("é", 600)},
	} {
		assert.Equal(t, want, c.stream())
	}
}
