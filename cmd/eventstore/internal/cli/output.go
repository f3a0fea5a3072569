package cli

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

// json reports whether output is for programs.
func (a *app) json() bool { return a.output == "json" }

// object prints a value as JSON, on one line.
func (a *app) object(v any) error { return a.printJSON(a.out, v) }

// say prints a line. What stands in for verbs is cleaned, see [safe].
func (a *app) say(format string, args ...any) error {
	return a.print(a.out, fmt.Sprintf(format, safely(args)...)+"\n")
}

// tell prints to the standard error; there is nobody to tell if that fails.
func (a *app) tell(format string, args ...any) {
	_ = a.print(a.err, fmt.Sprintf(format, safely(args)...))
}

// note prints a line that is no result to the standard error.
func (a *app) note(format string, args ...any) {
	if text := fmt.Sprintf(format, safely(args)...); a.json() {
		_ = a.printJSON(a.err, map[string]string{"note": text})
	} else {
		_ = a.print(a.err, text+"\n")
	}
}

// bold and the like colour a text on a terminal. The text is cleaned.
func (a *app) bold(s string) painted   { return a.colour("1", s) }
func (a *app) green(s string) painted  { return a.colour("32", s) }
func (a *app) yellow(s string) painted { return a.colour("33", s) }
func (a *app) red(s string) painted    { return a.colour("31", s) }

func (a *app) colour(code, s string) painted {
	if os.Getenv("NO_COLOR") != "" || !terminal(a.out) {
		return painted(clean(s))
	}
	return painted("\x1b[" + code + "m" + clean(s) + "\x1b[0m")
}

// at formats a time for people; zero is nothing.
func at(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05.000000Z")
}

// second formats a time for a column of a table.
func second(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

func number[T ~int | ~int64](n T) string { return fmt.Sprint(n) }

// count is a number of things: "1 stream", "2 streams".
func count[T ~int | ~int64](n T, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// recorded is an event as JSON output has it. Data and metadata come behind it, see objectWith.
type recorded struct {
	Number        int64     `json:"number"`
	Stream        string    `json:"stream"`
	Version       int64     `json:"version"`
	ID            uuid.UUID `json:"id"`
	Type          string    `json:"type"`
	CausationID   uuid.UUID `json:"causation_id,omitzero"`
	CorrelationID uuid.UUID `json:"correlation_id,omitzero"`
	CreatedAt     time.Time `json:"created_at"`
	ContentType   string    `json:"content_type,omitempty"`
}

func viewOf(e store.Recorded) recorded {
	return recorded{
		Number: e.Number, Stream: e.Stream, Version: e.Version, ID: e.ID, Type: e.Type, CausationID: e.CausationID,
		CorrelationID: e.CorrelationID, CreatedAt: e.CreatedAt, ContentType: e.ContentType,
	}
}

// objectWith prints a value as JSON, on one line, with data and metadata as further members. JSON is printed byte by byte as it is
// stored, so that a line can be appended again as it was. What can't be in a line is printed in base64, too: line ends between the
// values of JSON, space around it, and bytes that are no JSON. nil is left out.
func (a *app) objectWith(v any, data, metadata []byte) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	b.Truncate(bytes.LastIndexByte(b.Bytes(), '}'))
	addMember(&b, "data", data)
	addMember(&b, "metadata", metadata)
	b.WriteString("}\n")
	return a.printLine(a.out, b.String())
}

func addMember(b *bytes.Buffer, name string, value []byte) {
	if value == nil {
		return
	}
	valid, oneLine := json.Valid(value), !bytes.ContainsAny(value, "\r\n") && len(bytes.TrimSpace(value)) == len(value)
	if valid {
		fmt.Fprintf(b, `,"%s":`, name)
	}
	switch {
	case valid && oneLine:
		b.Write(value)
	case valid:
		_ = json.Compact(b, value)
	}
	if !valid || !oneLine {
		fmt.Fprintf(b, `,"%s_base64":"%s"`, name, base64.StdEncoding.EncodeToString(value))
	}
}

// dataOf returns the data of an event: never nil, which would mean that there is none.
func dataOf(data []byte) []byte {
	if data == nil {
		return []byte{}
	}
	return data
}

// printEvent prints an event on one line.
func (a *app) printEvent(e store.Recorded) error {
	if a.json() {
		return a.objectWith(viewOf(e), dataOf(e.Data), e.Metadata)
	}
	return a.say("%8d  %s  %s@%d  %s  %s", e.Number, at(e.CreatedAt), e.Stream, e.Version, a.green(e.Type), dataText(e.Data, e.ContentType))
}

// dataText is data as people read it, on one line.
func dataText(data []byte, contentType string) string {
	var b bytes.Buffer
	if json.Compact(&b, data) == nil {
		return escape(b.String())
	}
	return fmt.Sprintf("(%s of %s)", count(len(data), "byte"), orDash(contentType))
}
