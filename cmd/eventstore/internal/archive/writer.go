package archive

import (
	"bufio"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Writer writes an archive. It is not safe for concurrent use.
type Writer struct {
	buffer *bufio.Writer // to zip, or to out
	out    io.Writer
	zip    *zstd.Encoder // nil: not compressed
	hash   hash.Hash
	counts Counts
	line   []byte
}

// NewWriter returns a Writer to out, which compresses or doesn't.
func NewWriter(out io.Writer, compress bool) (*Writer, error) {
	w := &Writer{out: out, hash: sha256.New()}
	if !compress {
		w.buffer = bufio.NewWriterSize(out, 1<<18)
		return w, nil
	}
	zip, err := zstd.NewWriter(out, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	w.zip, w.buffer = zip, bufio.NewWriterSize(zip, 1<<18)
	return w, nil
}

// Write writes a record, a pointer to one of this package's types but [End].
func (w *Writer) Write(record any) (err error) {
	kind, err := kindOf(record)
	if err != nil {
		return err
	}
	if w.line, err = encode(w.line[:0], record); err != nil {
		return err
	}
	w.counts.add(kind)
	w.hash.Write(w.line)
	_, err = w.buffer.Write(w.line)
	return err
}

// Counts returns how many records were written.
func (w *Writer) Counts() Counts { return w.counts }

// Finish writes the end and all that is buffered. It does not close what the Writer writes to.
func (w *Writer) Finish(leftOut map[string]int64) (End, error) {
	end := End{Counts: w.counts, LeftOut: leftOut, SHA256: hex.EncodeToString(w.hash.Sum(nil))}
	line, err := encode(w.line[:0], &end)
	if err != nil {
		return end, err
	}
	if _, err := w.buffer.Write(line); err != nil {
		return end, err
	}
	return end, w.flush()
}

// flush writes all that is buffered, and ends the frame of zstd.
func (w *Writer) flush() error {
	if err := w.buffer.Flush(); err != nil || w.zip == nil {
		return err
	}
	if err := w.zip.Close(); err != nil {
		return err
	}
	w.zip.Reset(w.out)
	return nil
}

// sum is the checksum's state, as far as it has come.
func (w *Writer) sum() ([]byte, error) { return w.hash.(encoding.BinaryMarshaler).MarshalBinary() }

// goOn sets the state that an earlier Writer had.
func (w *Writer) goOn(c Counts, sum []byte) error {
	w.counts = c
	return w.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(sum)
}
