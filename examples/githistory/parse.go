package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"
)

// format has six fields. Each ends with a NUL byte, which none of them can contain.
const format = "%H%x00%P%x00%aN%x00%aE%x00%at%x00%s"

// parse reads what git log prints with -z, --numstat and format: for each commit its fields, then its files. With -z
// nothing is quoted and everything ends with a NUL byte; the first file starts in a new line.
//
//	hash␀ parents␀ name␀ email␀ time␀ subject␀ \n added⇥deleted⇥path␀ added⇥deleted⇥␀ from␀ path␀ hash␀ …
func parse(r io.Reader) iter.Seq2[commit, error] {
	p := parser{r: bufio.NewReaderSize(r, 1<<16)}
	return func(yield func(commit, error) bool) {
		for p.advance(); p.err == nil; {
			c := p.commit()
			if p.err != nil && !errors.Is(p.err, io.EOF) {
				break
			}
			if !yield(c, nil) {
				return
			}
		}
		if !errors.Is(p.err, io.EOF) {
			yield(commit{}, fmt.Errorf("read git log: %w", p.err))
		}
	}
}

// parser holds one field, not yet used, or the error that ended the fields: io.EOF at a good end.
type parser struct {
	r     *bufio.Reader
	field string
	err   error
}

func (p *parser) advance() {
	if p.err != nil {
		return
	}
	p.field, p.err = p.r.ReadString(0)
	switch {
	case p.err == nil:
		p.field = p.field[:len(p.field)-1]
	case errors.Is(p.err, io.EOF) && p.field != "":
		p.err = io.ErrUnexpectedEOF // in the middle of a field
	}
}

// next returns the field and goes to the one after it, which must exist.
func (p *parser) next() string {
	field := p.field
	p.advance()
	if errors.Is(p.err, io.EOF) {
		p.err = io.ErrUnexpectedEOF
	}
	return field
}

func (p *parser) commit() commit {
	c := commit{
		Hash:    p.next(),
		Parents: strings.Fields(p.next()),
		Name:    p.next(),
		Email:   p.next(),
		Time:    parseTime(p.next()),
		Subject: p.field,
	}
	for p.advance(); p.err == nil && strings.Contains(p.field, "\t"); p.advance() {
		c.Files = append(c.Files, p.file())
	}
	return c
}

// file reads one file and leaves its last field as the current one.
func (p *parser) file() file {
	var f file
	counts := strings.SplitN(strings.TrimPrefix(p.field, "\n"), "\t", 3)
	if len(counts) < 3 {
		p.err = fmt.Errorf("%q where a file should be", p.field)
		return f
	}
	if f.Binary = counts[0] == "-"; !f.Binary {
		f.Added, f.Deleted = p.count(counts[0]), p.count(counts[1])
	}
	if f.Path = counts[2]; f.Path == "" { // renamed
		p.next()
		f.From = p.next()
		f.Path = p.field
	}
	return f
}

func (p *parser) count(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil && p.err == nil {
		p.err = err
	}
	return n
}

// parseTime reads seconds since 1970. Broken clocks have made commits of the year 200,000 and of none at all: a time
// that no calendar has is taken for 1970, as git itself does.
func parseTime(s string) time.Time {
	seconds, err := strconv.ParseInt(s, 10, 64)
	t := time.Unix(seconds, 0).UTC()
	if err != nil || t.Year() < 1 || t.Year() > 9999 {
		return time.Unix(0, 0).UTC()
	}
	return t
}
