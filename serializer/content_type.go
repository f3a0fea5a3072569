package serializer

import (
	"strconv"
	"strings"
)

// contentType says how bytes came about. As text: the format; ";v=" and the version of the type unless it is 1; and for
// each coding, in the order they were applied, "+" and its name: "json", "msgpack;v=2", "json;v=3+zstd+aes".
type contentType struct {
	format  string
	version int
	codings []string
}

func (c contentType) String() string {
	if c.version == 1 && len(c.codings) == 0 {
		return c.format
	}
	var out strings.Builder
	out.WriteString(c.format)
	if c.version != 1 {
		out.WriteString(";v=")
		out.WriteString(strconv.Itoa(c.version))
	}
	for _, name := range c.codings {
		out.WriteByte('+')
		out.WriteString(name)
	}
	return out.String()
}

// parseContentType is the reverse. ok says whether text is one that String returns.
func parseContentType(text string) (c contentType, ok bool) {
	c.version = 1
	format, codings, coded := strings.Cut(text, "+")
	if coded {
		c.codings = strings.Split(codings, "+")
	}
	format, version, versioned := strings.Cut(format, ";v=")
	if versioned {
		n, err := strconv.Atoi(version)
		if err != nil || n < 2 || strconv.Itoa(n) != version {
			return c, false
		}
		c.version = n
	}
	c.format = format
	return c, isName(format) && all(c.codings, isName)
}

// isName reports whether text can name a format or a coding.
func isName(text string) bool {
	for _, r := range text {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.' {
			return false
		}
	}
	return text != ""
}

func all(texts []string, is func(string) bool) bool {
	for _, text := range texts {
		if !is(text) {
			return false
		}
	}
	return true
}
