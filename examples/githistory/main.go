// Githistory stores the history of a git repository as events: a stream for each author, an event for each commit, with
// its true time, caused by the event of its parent. A table of commits per author and month changes in the same
// transactions as the events. A second run appends only what is new.
//
//	go run ./examples/githistory -repo ~/src/project
//	go run ./examples/githistory -repo ~/src/project -db postgres://localhost/test
//
// With -follow it imports nothing. It keeps a second table of the same kind by a persistent subscription, while other
// runs import, until it is interrupted.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
)

func main() {
	repo := flag.String("repo", ".", "the `folder` of the git repository")
	db := flag.String("db", "", "`URL` of a PostgreSQL database, or the path of a SQLite file (default: a file of the repository's own in the user's cache folder)")
	follow := flag.Bool("follow", false, "keep a table up to date while other runs import, until interrupted")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, repository(*repo), *db, *follow); err != nil {
		fmt.Fprintln(os.Stderr, "githistory:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, repo repository, target string, follow bool) error {
	var text strings.Builder
	if target == "" {
		path, err := defaultFile(repo)
		if err != nil {
			return err
		}
		fmt.Fprintln(&text, "The events are kept in", path)
		target = path
	}
	h, err := open(ctx, target)
	if err != nil {
		return err
	}
	defer h.close()
	if follow {
		if _, err := fmt.Fprint(out, text.String(), "Following; interrupt to stop.\n"); err != nil {
			return err
		}
		return h.follow(ctx, out)
	}

	hashes, err := h.missing(ctx, repo)
	if err != nil {
		return err
	}
	bar, start := progress(len(hashes)), time.Now()
	if err := h.add(ctx, repo.commits(ctx, hashes), func(n int) { _ = bar.Add(n) }); err != nil {
		return err
	}
	_ = bar.Finish()
	fmt.Fprintf(&text, "%d new commits stored in %v.\n", len(hashes), time.Since(start).Round(time.Millisecond))
	if err := h.report(ctx, &text); err != nil {
		return err
	}
	columns := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if _, err := columns.Write([]byte(text.String())); err != nil {
		return err
	}
	return columns.Flush()
}

// progress returns a progress bar on the standard error, a silent one where there is little to do and nobody to watch.
func progress(commits int) *progressbar.ProgressBar {
	info, err := os.Stderr.Stat()
	watched := err == nil && info.Mode()&os.ModeCharDevice != 0
	if commits == 0 || !watched && commits <= 1000 {
		return progressbar.DefaultSilent(int64(commits))
	}
	return progressbar.Default(int64(commits), "commits")
}
