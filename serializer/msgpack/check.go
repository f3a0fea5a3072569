package msgpack

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

var (
	errShort = errors.New("the data ends before the value does")
	errMore  = errors.New("there is more behind the value")
	errDeep  = fmt.Errorf("arrays and maps are nested deeper than %d", MaxDepth)
)

// timeType is the extension type of a time.
const timeType = 0xff

// What follows the first byte of a value, and its length, if it has one.
const (
	unknown   = iota
	content   // bytes
	extension // a byte, and bytes
	elements  // values
	pairs     // twice as many values
)

// kind is what the first byte of a value says.
type kind struct {
	of     int
	size   uint64 // if it is the same for all of them
	length int    // else, how many bytes it is written in
}

// kinds are those of the first bytes 0xc0 to 0xdf. Any other is a small number, or has a length in itself.
var kinds = [32]kind{
	0x00: {of: content}, 0x02: {of: content}, 0x03: {of: content}, // nil, false, true
	0x04: {of: content, length: 1}, 0x05: {of: content, length: 2}, 0x06: {of: content, length: 4}, // bin
	0x07: {of: extension, length: 1}, 0x08: {of: extension, length: 2}, 0x09: {of: extension, length: 4}, // ext
	0x0a: {of: content, size: 4}, 0x0b: {of: content, size: 8}, // float
	0x0c: {of: content, size: 1}, 0x0d: {of: content, size: 2}, 0x0e: {of: content, size: 4}, 0x0f: {of: content, size: 8}, // uint
	0x10: {of: content, size: 1}, 0x11: {of: content, size: 2}, 0x12: {of: content, size: 4}, 0x13: {of: content, size: 8}, // int
	0x14: {of: extension, size: 1}, 0x15: {of: extension, size: 2}, 0x16: {of: extension, size: 4}, 0x17: {of: extension, size: 8}, // fixext
	0x18: {of: extension, size: 16},
	0x19: {of: content, length: 1}, 0x1a: {of: content, length: 2}, 0x1b: {of: content, length: 4}, // str
	0x1c: {of: elements, length: 2}, 0x1d: {of: elements, length: 4}, // array
	0x1e: {of: pairs, length: 2}, 0x1f: {of: pairs, length: 4}, // map
}

// check returns why data is not one well-formed value, and where in it the bytes of times begin. It doesn't recurse, and
// allocates less than data is long, but for a constant.
//
// As each value is at least one byte, data that passes has no more elements than bytes, all arrays and maps taken together.
func check(data []byte) (times []int, err error) {
	left := make([]uint64, 0, 16) // how many values are still to come, in each of the arrays and maps around here
	for at := 0; ; {
		header, size, values, err := head(data[at:])
		if err != nil {
			return nil, err
		}
		rest := uint64(len(data) - at - header)
		if size > rest || values > rest {
			return nil, errShort
		}
		if msgpcode.IsExt(data[at]) {
			times = append(times, at+header)
		}
		at += header + int(size)
		if values > 0 {
			if len(left) == MaxDepth {
				return nil, errDeep
			}
			left = append(left, values)
			continue
		}
		for len(left) > 0 {
			if left[len(left)-1]--; left[len(left)-1] > 0 {
				break
			}
			left = left[:len(left)-1]
		}
		if len(left) == 0 {
			if at < len(data) {
				return nil, errMore
			}
			return times, nil
		}
	}
}

// head reads the first bytes of a value: how long they are, how many bytes of content follow, or how many values.
func head(data []byte) (header int, size, values uint64, err error) {
	if len(data) == 0 {
		return 0, 0, 0, errShort
	}
	c := data[0]
	switch {
	case msgpcode.IsFixedNum(c):
		return 1, 0, 0, nil
	case msgpcode.IsFixedMap(c):
		return 1, 0, 2 * uint64(c&msgpcode.FixedMapMask), nil
	case msgpcode.IsFixedArray(c):
		return 1, 0, uint64(c & msgpcode.FixedArrayMask), nil
	case msgpcode.IsFixedString(c):
		return 1, uint64(c & msgpcode.FixedStrMask), 0, nil
	}
	k := kinds[c-0xc0]
	if k.of == unknown {
		return 0, 0, 0, fmt.Errorf("no value begins with the byte %#x", c)
	}
	header = 1 + k.length
	if len(data) < header {
		return 0, 0, 0, errShort
	}
	n := k.size
	switch k.length {
	case 1:
		n = uint64(data[1])
	case 2:
		n = uint64(binary.BigEndian.Uint16(data[1:]))
	case 4:
		n = uint64(binary.BigEndian.Uint32(data[1:]))
	}
	switch k.of {
	case elements:
		return header, 0, n, nil
	case pairs:
		return header, 0, 2 * n, nil
	case extension:
		if len(data) <= header {
			return 0, 0, 0, errShort
		}
		if data[header] != timeType || n != 4 && n != 8 && n != 12 {
			return 0, 0, 0, fmt.Errorf("there is an extension of type %d and %d bytes: only times are supported", int8(data[header]), n)
		}
		header++
	}
	return header, n, 0, nil
}
