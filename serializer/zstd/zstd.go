// Package zstd compresses events with Zstandard.
//
//	serializer.New(serializer.JSONFormat{}, &serializer.Options{Types: types, Codings: []serializer.Coding{zstd.New(nil)}})
//
// Events that were written without it still decode, and so do those that it leaves alone. To stop compressing, move it to
// OnlyDecode. With encryption, compress first: what is encrypted does not compress.
package zstd

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/store"
)

var _ serializer.Coding = (*Coding)(nil)

// Name is what the content types of compressed events are marked with.
const Name = "zstd"

// Options of a [Coding]. The zero value of each field is its default.
type Options struct {
	// Threshold is how many bytes an event must have to be compressed. Default: 1024.
	Threshold int
	// Level is the zstd program's, from 1, which is quick, to 22, which is thorough. Those between share the four ways to
	// compress that there are. Default: 3.
	Level int
	// MaxSize is the most bytes that an event may decompress to; what is longer is stored as it is. Lower it only if no
	// longer event was stored. At least 1024. Default: [store.MaxData].
	MaxSize int
}

// Coding compresses. It is safe for concurrent use, starts no goroutine and needs no Close. It keeps working memory, of a
// megabyte or so, for as many uses at a time as there are CPUs; more of them wait.
type Coding struct {
	threshold int
	maxSize   int
	encoder   *zstd.Encoder
	decoder   *zstd.Decoder
}

// New returns a coding. It panics if an option is out of its range: that is a mistake in the program.
func New(opts *Options) *Coding {
	o := Options{}
	if opts != nil {
		o = *opts
	}
	if o.Threshold == 0 {
		o.Threshold = 1024
	}
	if o.Level == 0 {
		o.Level = 3
	}
	if o.MaxSize == 0 {
		o.MaxSize = store.MaxData
	}
	if o.Threshold < 0 || o.Level < 1 || o.Level > 22 || o.MaxSize < zstd.MinWindowSize {
		panic(fmt.Sprintf("zstd: there can't be a threshold of %d, a level of %d and a MaxSize of %d", o.Threshold, o.Level, o.MaxSize))
	}
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(o.Level)))
	if err != nil {
		panic("zstd: " + err.Error())
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(uint64(o.MaxSize)))
	if err != nil {
		panic("zstd: " + err.Error())
	}
	return &Coding{threshold: o.Threshold, maxSize: o.MaxSize, encoder: encoder, decoder: decoder}
}

// Name implements [serializer.Coding].
func (*Coding) Name() string { return Name }

// Encode implements [serializer.Coding]. It applies to what becomes smaller by it, unless that is below the threshold or
// above MaxSize. A checksum is stored, too.
func (c *Coding) Encode(p serializer.Plain) (coded []byte, applied bool, err error) {
	if len(p.Data) < c.threshold || len(p.Data) > c.maxSize {
		return nil, false, nil
	}
	coded = c.encoder.EncodeAll(p.Data, nil)
	return coded, len(coded) < len(p.Data), nil
}

// Decode implements [serializer.Coding]. It is an error if coded is not whole, or longer than MaxSize once it is
// decompressed. At most a small multiple of MaxSize is allocated, and less if coded is too short to hold what it says.
func (c *Coding) Decode(_ string, coded []byte) ([]byte, error) {
	if err := plausible(coded); err != nil {
		return nil, err
	}
	data, err := c.decoder.DecodeAll(coded, nil)
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
		return nil, &TooLargeError{MaxSize: c.maxSize, Err: err}
	case err != nil:
		return nil, fmt.Errorf("zstd: %w", err)
	}
	return data, nil
}

// The most that a compressed block can say, and the least bytes it says it in.
const (
	maxBlock = 128 << 10
	minBlock = 4
)

var (
	errEmpty = errors.New("zstd: there is no data")
	errShort = errors.New("zstd: the data is too short for what it should decompress to")
)

// plausible returns why coded can't be what its first bytes say: the library would believe them, and allocate it.
func plausible(coded []byte) error {
	var h zstd.Header
	if err := h.Decode(coded); err != nil {
		return fmt.Errorf("zstd: %w", err)
	}
	switch {
	case h.Skippable:
		return errEmpty
	case h.HasFCS && h.FrameContentSize > (uint64(len(coded))/minBlock+1)*maxBlock:
		return errShort
	}
	return nil
}

// TooLargeError says that an event was not decompressed because it would be too large: bytes made to use up memory, or a
// MaxSize that is lower than it was when the event was stored.
type TooLargeError struct {
	MaxSize int // in bytes
	Err     error
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("zstd: it decompresses to more than %d bytes: %v", e.MaxSize, e.Err)
}

func (e *TooLargeError) Unwrap() error { return e.Err }
