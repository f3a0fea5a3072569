package msgpack

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/eventstore-go/eventstore/serializer"
)

var _ serializer.Format = Format{}

// Name is the content type of MessagePack.
const Name = "msgpack"

// MaxDepth is how deep arrays and maps may be nested. It is what encoding/json allows, too.
const MaxDepth = 10_000

// Format is MessagePack. The zero value can be used. It is safe for concurrent use.
//
// Whatever Marshal returns, Unmarshal takes: it is one well-formed value, nested no deeper than [MaxDepth]. Unmarshal
// returns an error for any other bytes before it decodes them, so that a length that is not there allocates nothing. What
// is allocated is proportional to the data, and to the size of the Go types that its arrays and maps hold.
type Format struct {
	// UseJSONTags names fields by their json tags if they have no msgpack tag, so that structs made for JSON work as they are.
	UseJSONTags bool
	// Strict refuses fields that the type decoded into has no place for.
	Strict bool
	// Loose decodes into an any what JSON could hold: a number is an int64, a uint64 or a float64, and bytes are a string.
	Loose bool
}

// Name implements [serializer.Format].
func (Format) Name() string { return Name }

// Marshal implements [serializer.Format]. Maps with string keys to strings, bools or anys are written in the order of their
// keys.
func (f Format) Marshal(value any) ([]byte, error) {
	out := buffers.Get().(*bytes.Buffer)
	out.Reset()
	e := msgpack.GetEncoder()
	e.Reset(out)
	e.UseCompactInts(true)
	e.SetSortMapKeys(true)
	if f.UseJSONTags {
		e.SetCustomStructTag("json")
	}
	if err := e.Encode(value); err != nil {
		return nil, err
	}
	msgpack.PutEncoder(e)
	if _, err := check(out.Bytes()); err != nil {
		return nil, fmt.Errorf("msgpack: a %T can't be stored: %w", value, err)
	}
	data := bytes.Clone(out.Bytes())
	if out.Cap() <= maxKept {
		buffers.Put(out)
	}
	return data, nil
}

// buffers are for encoding, to be used again if they have not grown beyond maxKept bytes.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const maxKept = 64 << 10

// Unmarshal implements [serializer.Format].
func (f Format) Unmarshal(data []byte, into any) (err error) {
	times, err := check(data)
	if err != nil {
		return fmt.Errorf("msgpack: %w", err)
	}
	// The library panics where a Go map can't have a key, such as a slice in a map[any]any.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("msgpack: %v", p)
		}
	}()
	r := &reader{times: times}
	r.Reset(data)
	d := msgpack.GetDecoder()
	d.Reset(r)
	d.DisallowUnknownFields(f.Strict)
	d.UseLooseInterfaceDecoding(f.Loose)
	if f.UseJSONTags {
		d.SetCustomStructTag("json")
	}
	if err := d.Decode(into); err != nil {
		return err // The decoder is not put back: it may have stopped anywhere.
	}
	msgpack.PutDecoder(d)
	if r.Len() > 0 {
		return fmt.Errorf("msgpack: %w", errMore)
	}
	return nil
}

// reader reads data that was checked. It refuses to show the inside of a time as a value of its own: the library does so
// where it expects a map, and would believe any length that stands there.
type reader struct {
	bytes.Reader
	times []int // where the bytes of times begin, ascending
}

var errTime = errors.New("msgpack: there is a time where a map is expected")

// ReadByte is what the library calls for the first byte of a value. It reads those of a time all at once.
func (r *reader) ReadByte() (byte, error) {
	at := int(r.Size()) - r.Len()
	for len(r.times) > 0 && r.times[0] < at {
		r.times = r.times[1:]
	}
	if len(r.times) > 0 && r.times[0] == at {
		return 0, errTime
	}
	return r.Reader.ReadByte()
}
