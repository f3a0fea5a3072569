package transfer

import (
	"bytes"
	"strconv"
	"strings"
)

// What PostgreSQL's type jsonb takes.
const (
	jsonbExponent = 131071 // digits before the point of a number
	jsonbScale    = 16383  // and behind it
)

// jsonbReason returns why jsonb refuses a text that is valid JSON, or "": the NUL character, half of a surrogate pair, a number
// out of range. The server has the last word as the event is written.
func jsonbReason(text []byte) string {
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '"':
			end, reason := jsonbString(text, i+1)
			if reason != "" {
				return reason
			}
			i = end
		case c == '-' || c >= '0' && c <= '9':
			end, reason := jsonbNumber(text, i)
			if reason != "" {
				return reason
			}
			i = end
		default:
			i++
		}
	}
	return ""
}

// jsonbString looks at a string from behind its opening quote, and returns where it ends.
func jsonbString(text []byte, i int) (end int, reason string) {
	high := false // the escape before was the first half of a pair
	for ; text[i] != '"'; i++ {
		if text[i] != '\\' || text[i+1] != 'u' {
			if high {
				return 0, "it has half of a surrogate pair"
			}
			if text[i] == '\\' {
				i++
			}
			continue
		}
		code, _ := strconv.ParseUint(string(text[i+2:i+6]), 16, 16)
		low := code >= 0xdc00 && code < 0xe000
		switch {
		case code == 0:
			return 0, `it has the character \u0000`
		case high != low:
			return 0, "it has half of a surrogate pair"
		}
		high = code >= 0xd800 && code < 0xdc00
		i += 5
	}
	if high {
		return 0, "it has half of a surrogate pair"
	}
	return i + 1, ""
}

// jsonbNumber looks at a number, and returns where it ends.
func jsonbNumber(text []byte, begin int) (end int, reason string) {
	for end = begin; end < len(text) && bytes.IndexByte([]byte("+-.eE0123456789"), text[end]) >= 0; {
		end++
	}
	mantissa, power, _ := strings.Cut(strings.ToLower(strings.TrimPrefix(string(text[begin:end]), "-")), "e")
	exponent := 0
	if power != "" {
		n, err := strconv.Atoi(power)
		if err != nil {
			return 0, outOfRange
		}
		exponent = n
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	first := len(whole) - 1 // power of ten of the first digit
	digits := strings.TrimLeft(whole+fraction, "0")
	first -= len(whole) + len(fraction) - len(digits)
	if digits != "" && first+exponent > jsonbExponent || len(fraction)-exponent > jsonbScale {
		return 0, outOfRange
	}
	return end, ""
}

const outOfRange = "it has a number out of range"
