package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// report is what the page tells.
type report struct {
	rounds   int
	server   string // version of PostgreSQL
	figures  figures
	failures map[string]map[string]string // by workload and peer, why there is no figure
	verdicts map[string]verdict
}

// write writes the page and its charts into a folder.
func (p report) write(dir string) error {
	var out strings.Builder
	fmt.Fprintf(&out, `# Benchmarks beside other event stores

What Go programs might use on PostgreSQL to keep events, side by side: %d rounds in turns, on one machine with %d cores, client and
server on it; %s with fsync=on, a fresh database for each measurement, %d connections, data of %d bytes and metadata of %d.
Medians, with the lowest and the highest; %d events are read, in streams of %d. Compare columns of a row: single figures vary
from machine to machine.
Repeat it with `+"`make bench/peers`"+`; the code is in `+"`bench/`"+`, a module of its own.

| | version | how it is used |
|---|---|---|
`, p.rounds, runtime.NumCPU(), p.server, connections, dataSize, len(metadata), backlog, inStream)
	for _, s := range peers {
		fmt.Fprintf(&out, "| %s | %s | %s |\n", s.name, s.version, s.how)
	}
	p.correctness(&out)
	for _, group := range []struct {
		title, suffix string
		global        bool
	}{
		{"Stores with an order of all events in which a reader misses nothing", "", true},
		{"Stores with none, or with one in which a reader misses events", "-unordered", false},
	} {
		fmt.Fprintf(&out, "\n## %s\n", group.title)
		if err := p.group(&out, dir, group.suffix, group.global); err != nil {
			return err
		}
	}
	out.WriteString(`
## What to make of it

An append that checks a version writes, and locks, the row of its stream beside the event, and keeps three unique indexes: of the
order, of the versions of a stream, and of ids. A log that checks nothing, as watermill-sql and raw SQL are here, writes one row
with fewer indexes or none to spare. With one writer there is nobody to share a commit with, and in large batches the commit does
not matter: there such a log is the bound, and a store that checks can't be ahead of it. With many writers of single events group
commit is.

What a read returns differs: chronicle three columns of an event, hallgren eight, without the event's id; this library all that
there is, in pages, so that no connection is held while the caller works.

An event is delivered here after two commits, the append's and that of the tick which gives it its position; that is what an
order without gaps costs that no reader has to wait in. Where the disk is slow, or the processors busy, that counts for more than
how often another store polls, and stores with one commit come first.
`)
	return os.WriteFile(filepath.Join(dir, "benchmarks.md"), []byte(out.String()), 0o644) //nolint:gosec // it is to be read
}

// correctness tells what each store got wrong.
func (p report) correctness(out *strings.Builder) {
	out.WriteString(`
## Correctness

Eight writers append, half of their appends in transactions of up to 20 ms where the store can join one, while a reader of all
events goes on from the last place it has seen. Then 16 appends at a time expect the same version, 50 times.

| | appended | missed | reordered in a stream | twice | rounds without exactly one winner |
|---|---|---|---|---|---|
`)
	for _, s := range peers {
		v, ok := p.verdicts[s.name]
		switch {
		case !ok:
			continue
		case v.err != nil:
			fmt.Fprintf(out, "| %s | failed: %s | | | | |\n", s.name, strings.ReplaceAll(firstLine(v.err.Error()), "|", "/"))
			continue
		case v.unread:
			fmt.Fprintf(out, "| %s | %d | not read so | | | ", s.name, v.appended)
		default:
			fmt.Fprintf(out, "| %s | %d | %d | %d | %d | ", s.name, v.appended, v.missed, v.reordered, v.duplicated)
		}
		if s.checked {
			fmt.Fprintf(out, "%d of %d |\n", v.wrong, v.rounds)
		} else {
			out.WriteString("nothing is checked |\n")
		}
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// group tells the figures of the stores that promise a global order, or of the others.
func (p report) group(out *strings.Builder, dir, suffix string, global bool) error {
	var names []string
	for _, s := range peers {
		if s.global == global {
			names = append(names, s.name)
		}
	}
	fmt.Fprintf(out, "\n| | %s |\n|---|%s\n", strings.Join(names, " | "), strings.Repeat("---|", len(names)))
	var charts []string
	for i, w := range workloads() {
		fmt.Fprintf(out, "| %s, %s |", w.name, w.unit)
		var charted []string
		var medians []float64
		for _, name := range names {
			list := p.figures[w.name][name]
			if len(list) == 0 {
				fmt.Fprintf(out, " %s |", p.failures[w.name][name])
				continue
			}
			median, lowest, highest := spread(list)
			fmt.Fprintf(out, " %s (%s–%s)", text(median), text(lowest), text(highest))
			if len(list) < p.rounds {
				fmt.Fprintf(out, " in %d of %d rounds; %s", len(list), p.rounds, p.failures[w.name][name])
			}
			out.WriteString(" |")
			charted, medians = append(charted, name), append(medians, median)
		}
		out.WriteByte('\n')
		if len(charted) == 0 {
			continue
		}
		file := fmt.Sprintf("benchmarks-%02d%s.svg", i+1, suffix)
		charts = append(charts, fmt.Sprintf("![%s](%s)", w.name, file))
		if err := chart(filepath.Join(dir, file), w.name, w.unit, charted, medians); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "\n%s\n", strings.Join(charts, "\n"))
	return nil
}
