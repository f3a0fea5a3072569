package cli

import (
	"fmt"
	"strings"
	"unicode"
)

// Names, types, keys and errors of handlers come from elsewhere. All that is printed goes through safely, so that none of them
// can move the terminal's cursor, change its colours or forge a line.

// clean replaces control characters, those that turn the direction of what is read, and line ends, by U+FFFD.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if obeyed(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// obeyed reports whether a terminal obeys a character, or shows what follows in another place.
func obeyed(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// escape makes lines of JSON safe for a terminal, and the same JSON: what a terminal obeys can stand in strings alone, but for tabs
// and line ends. A pipe gets it as it is stored.
func escape(json string) string {
	var b strings.Builder
	for _, r := range json {
		if obeyed(r) && r != '\t' && r != '\n' {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// painted is text that is clean, and perhaps coloured.
type painted string

// lines is text of several lines, each of which is printed clean. Those behind the first are indented, so that they can't be taken
// for lines of their own.
func lines(text string) painted {
	list := strings.Split(strings.TrimSpace(text), "\n")
	for i := range list {
		list[i] = clean(strings.ReplaceAll(list[i], "\t", " "))
	}
	return painted(strings.Join(list, "\n  "))
}

// safe is text that is printed clean. %q shows what was in it, as Go writes it.
type safe string

// Format implements [fmt.Formatter].
func (s safe) Format(f fmt.State, verb rune) {
	text := string(s)
	if verb != 'q' {
		text = clean(text)
	}
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), text)
}

// safely returns arguments of a format whose texts are safe.
func safely(args []any) []any {
	list := make([]any, len(args))
	for i, arg := range args {
		switch v := arg.(type) {
		case string:
			arg = safe(v)
		case error:
			arg = safe(v.Error())
		case fmt.Stringer:
			arg = safe(v.String())
		}
		list[i] = arg
	}
	return list
}

// quoted is a name in a sentence, as Go writes it; "" is the tables of SQLite without a prefix.
func quoted(name string) string {
	if name == "" {
		return "no prefix"
	}
	return fmt.Sprintf("%q", name)
}

func quotedList(names []string) string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(list, ", ")
}
