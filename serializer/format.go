package serializer

// Format encodes values in one way. It may be used concurrently. [JSONFormat] is here; package msgpack and package
// protobuf, below this one, have others.
type Format interface {
	// Name is the content type: letters, digits, '-', '_' and '.', and never another one for bytes that were written under it.
	Name() string
	Marshal(value any) ([]byte, error)
	// Unmarshal decodes data into the value that into points to. It must not keep data. Whatever data holds, it returns an
	// error at worst, and allocates no more than a small multiple of its size.
	Unmarshal(data []byte, into any) error
}

// Coding changes encoded bytes on their way into the database, and back: package zstd compresses them, package
// encryption encrypts them. It may be used concurrently.
type Coding interface {
	// Name is what the content type is marked with when the coding was applied: letters, digits, '-', '_' and '.'.
	Name() string
	// Encode returns the coded bytes, and whether it applies to this event at all. It may change no byte of p.Data.
	Encode(p Plain) (coded []byte, applied bool, err error)
	// Decode is the reverse. It must not keep coded.
	Decode(eventType string, coded []byte) (data []byte, err error)
}

// Plain is what a [Coding] codes.
type Plain struct {
	EventType string
	Value     any    // what is appended
	Data      []byte // Value as encoded so far
}
