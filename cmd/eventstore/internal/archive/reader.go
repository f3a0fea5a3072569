package archive

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
)

// maxLine bounds a line, so that a file of something else does not fill the memory.
const maxLine = 1 << 30

// zstdMagic begins each frame of zstd.
var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// Reader reads an archive. It is not safe for concurrent use.
type Reader struct {
	Header Header

	closers []func() error
	lines   *bufio.Reader
	buffer  []byte // a line that is longer than what lines holds
	line    int64
	hash    hash.Hash // nil if the checksum is not looked at
	counts  Counts
	end     *End
	peeked  any // a record that was read ahead
}

// Open opens the archive in a file, compressed or not. Close the Reader. The error is [ErrFormat] if it is none.
func Open(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := NewReader(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	r.closers = append(r.closers, f.Close)
	return r, nil
}

// NewReader returns a Reader of in, and reads the header.
func NewReader(in io.Reader) (*Reader, error) {
	r := &Reader{lines: bufio.NewReaderSize(in, 1<<16), hash: sha256.New()}
	if magic, _ := r.lines.Peek(len(zstdMagic)); bytes.Equal(magic, zstdMagic) {
		d, err := zstd.NewReader(r.lines, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30))
		if err != nil {
			return nil, err
		}
		r.closers = append(r.closers, func() error { d.Close(); return nil })
		r.lines = bufio.NewReaderSize(d, 1<<18)
	}
	record, err := r.Next()
	if err == nil {
		h, ok := record.(*Header)
		switch {
		case !ok:
			err = r.wrong("the header is missing")
		case h.Format > Format || h.Format < 1:
			err = r.wrong(fmt.Sprintf("format %d is not known: a newer version of this program may know it", h.Format))
		default:
			r.Header = *h
			return r, nil
		}
	}
	if errors.Is(err, io.EOF) {
		err = r.wrong("it is empty")
	}
	return nil, errors.Join(err, r.Close())
}

// Close closes the file.
func (r *Reader) Close() error {
	var errs []error
	for _, c := range r.closers {
		errs = append(errs, c())
	}
	r.closers = nil
	return errors.Join(errs...)
}

func (r *Reader) wrong(reason string) error { return &FormatError{Line: r.line, Reason: reason} }

// Next returns the next record, a pointer to one of this package's types, or io.EOF behind the [End], whose checksum and
// counts were right then. A Reader that has skipped checks the checksum, too, but of lines it does not look at nothing else.
func (r *Reader) Next() (any, error) {
	if r.peeked != nil {
		record := r.peeked
		r.peeked = nil
		return record, nil
	}
	line, err := r.next()
	if err != nil {
		return nil, err
	}
	return r.record(line)
}

// Unread makes a record that Next has returned be the next one again.
func (r *Reader) Unread(record any) { r.peeked = record }

// Skip passes over n records of a kind, which come next.
func (r *Reader) Skip(kind string, n int64) error {
	if found, err := kindOf(r.peeked); n > 0 && err == nil && found == kind {
		r.peeked = nil
		n--
	}
	for range n {
		line, err := r.next()
		if err != nil {
			return err
		}
		if found := kindIn(line); found != kind {
			return r.wrong(fmt.Sprintf("want one more %s, not a record of kind %q", kind, found))
		}
	}
	return nil
}

// Pass passes over all records of a kind that come next.
func (r *Reader) Pass(kind string) error {
	if r.peeked != nil {
		if found, err := kindOf(r.peeked); err != nil || found != kind {
			return err
		}
		r.peeked = nil
	}
	for {
		line, err := r.next()
		if err != nil {
			return err
		}
		if kindIn(line) != kind {
			r.peeked, err = r.record(line)
			return err
		}
	}
}

// Verify reads the archive to its end and returns that. It decodes nothing but the end.
func (r *Reader) Verify(ctx context.Context) (End, error) {
	if end, ok := r.peeked.(*End); ok { // an archive without events
		r.peeked = nil
		if _, err := r.next(); !errors.Is(err, io.EOF) {
			return End{}, err
		}
		return *end, nil
	}
	for {
		if r.line%1000 == 0 && ctx.Err() != nil {
			return End{}, ctx.Err()
		}
		line, err := r.next()
		if err != nil {
			return End{}, err
		}
		if kindIn(line) != "end" {
			continue
		}
		if _, err := r.record(line); err != nil {
			return End{}, err
		}
		if _, err := r.next(); !errors.Is(err, io.EOF) {
			return End{}, err
		}
		return *r.end, nil
	}
}

// record decodes a line that next has returned.
func (r *Reader) record(line []byte) (any, error) {
	record, err := decode(line)
	if err != nil {
		return nil, r.wrong(err.Error())
	}
	if end, ok := record.(*End); ok {
		return record, r.check(end, line)
	}
	return record, nil
}

// next returns the next line, which is valid until the call after it, and counts it.
func (r *Reader) next() ([]byte, error) {
	line, err := r.readLine()
	switch {
	case errors.Is(err, io.EOF) && len(line) == 0:
		if r.end == nil {
			return nil, r.wrong("the end is missing: it was not exported to the end (run the export again, it goes on where it was), or it was cut off")
		}
		return nil, io.EOF
	case errors.Is(err, io.EOF):
		r.line++
		return nil, r.wrong("the line is cut off")
	case err != nil:
		return nil, r.wrong(err.Error())
	}
	r.line++
	if r.end != nil {
		return nil, r.wrong("there is something behind the end")
	}
	kind := kindIn(line)
	if kind != "end" {
		r.hash.Write(line)
	}
	r.counts.add(kind)
	return line, nil
}

func (r *Reader) readLine() ([]byte, error) {
	line, err := r.lines.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	r.buffer = append(r.buffer[:0], line...)
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(r.buffer) > maxLine {
			return nil, errors.New("the line is too long")
		}
		line, err = r.lines.ReadSlice('\n')
		r.buffer = append(r.buffer, line...)
	}
	return r.buffer, err
}

// check compares the end with what was read.
func (r *Reader) check(end *End, line []byte) error {
	r.end = end
	if want, err := encode(nil, end); err != nil || !bytes.Equal(line, want) {
		return r.wrong("the end is damaged")
	}
	if sum := hex.EncodeToString(r.hash.Sum(nil)); sum != end.SHA256 {
		return r.wrong(fmt.Sprintf("the checksum is wrong: the archive was damaged (it says %s, and is %s)", end.SHA256, sum))
	}
	if r.counts != end.Counts {
		return r.wrong(fmt.Sprintf("the counts are wrong: %+v, want %+v", r.counts, end.Counts))
	}
	return nil
}

// add counts a record.
func (c *Counts) add(kind string) {
	switch kind {
	case "stream":
		c.Streams++
	case "link":
		c.Links++
	case "snapshot":
		c.Snapshots++
	case "subscription":
		c.Subscriptions++
	case "event":
		c.Events++
	case "gone":
		c.Gone++
	}
}
