package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os/exec"
	"strings"
)

// repository is the folder of a git repository.
type repository string

// hash is a commit and its parents.
type hash struct {
	commit  string
	parents []string
}

// hashes lists the commits that HEAD has, each before its parents; none in a new repository.
func (r repository) hashes(ctx context.Context) ([]hash, error) {
	if err := r.run(ctx, "", io.Discard, "rev-parse", "--git-dir"); err != nil {
		return nil, err // not a repository
	}
	if r.run(ctx, "", io.Discard, "rev-parse", "--quiet", "--verify", "HEAD") != nil {
		return nil, ctx.Err() // no commit yet
	}
	var out bytes.Buffer
	if err := r.run(ctx, "", &out, "rev-list", "--topo-order", "--parents", "HEAD"); err != nil {
		return nil, err
	}
	var hashes []hash
	for line := range strings.Lines(out.String()) {
		fields := strings.Fields(line)
		hashes = append(hashes, hash{commit: fields[0], parents: fields[1:]})
	}
	return hashes, nil
}

// commits reads the commits with the given hashes, in that order. An error comes last.
func (r repository) commits(ctx context.Context, hashes []string) iter.Seq2[commit, error] {
	return func(yield func(commit, error) bool) {
		if len(hashes) == 0 {
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		out, in := io.Pipe()
		go func() {
			// Settings of the user's that would change the output are overruled. Merges show no files.
			in.CloseWithError(r.run(ctx, strings.Join(hashes, "\n")+"\n", in,
				"-c", "log.showRoot=true", "log", "--stdin", "--no-walk=unsorted", "--no-show-signature",
				"-z", "--numstat", "--find-renames", "--no-diff-merges", "--no-relative", "--no-ext-diff", "--no-textconv",
				"--no-color", "--encoding=UTF-8", "--format="+format))
		}()
		for c, err := range parse(out) {
			if !yield(c, err) || err != nil {
				break
			}
		}
		cancel()
		_, _ = io.Copy(io.Discard, out) // until git has ended
	}
}

// run runs git and writes what it prints to out.
func (r repository) run(ctx context.Context, stdin string, out io.Writer, args ...string) error {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", string(r)}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), out, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return fmt.Errorf("git in %s: %s", r, bytes.TrimSpace(stderr.Bytes()))
	}
	return err
}
