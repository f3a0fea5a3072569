package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/eventstore-go/eventstore/store"
)

// json reports whether output is for programs.
func (a *app) json() bool { return a.output == "json" }

// object prints a value as JSON, on one line.
func (a *app) object(v any) error {
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// table prints rows under titles, aligned. A title that begins with > is of a column of numbers.
func (a *app) table(titles []string, rows [][]string) error {
	widths := make([]int, len(titles))
	right := make([]bool, len(titles))
	for _, row := range rows {
		for i := range row {
			row[i] = clean(row[i])
		}
	}
	for i, t := range titles {
		titles[i], right[i] = strings.CutPrefix(t, ">")
		widths[i] = len([]rune(titles[i]))
		for _, row := range rows {
			widths[i] = max(widths[i], len([]rune(row[i])))
		}
	}
	line := func(row []string) string {
		var b strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-len([]rune(cell)))
			switch {
			case right[i]:
				b.WriteString(pad + cell)
			default:
				b.WriteString(cell + pad)
			}
			b.WriteString("  ")
		}
		return strings.TrimRight(b.String(), " ")
	}
	var b strings.Builder
	b.WriteString(a.bold(line(titles)) + "\n")
	for _, row := range rows {
		b.WriteString(line(row) + "\n")
	}
	_, err := io.WriteString(a.out, b.String())
	return err
}

// facts prints names and values, aligned.
func (a *app) facts(list ...string) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for i := 0; i < len(list); i += 2 {
		if _, err := fmt.Fprintf(w, "%s\t%s\n", list[i], list[i+1]); err != nil {
			return err
		}
	}
	return w.Flush()
}

func (a *app) say(format string, args ...any) error {
	_, err := fmt.Fprintf(a.out, format+"\n", args...)
	return err
}

// tell prints to the standard error; there is nobody to tell if that fails.
func (a *app) tell(format string, args ...any) { _, _ = fmt.Fprintf(a.err, format, args...) }

// bold and the like colour a text on a terminal.
func (a *app) bold(s string) string   { return a.colour("1", s) }
func (a *app) green(s string) string  { return a.colour("32", s) }
func (a *app) yellow(s string) string { return a.colour("33", s) }
func (a *app) red(s string) string    { return a.colour("31", s) }

func (a *app) colour(code, s string) string {
	if os.Getenv("NO_COLOR") != "" || !terminal(a.out) {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// at formats a time for people; zero is nothing.
func at(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05.000000")
}

func number[T ~int | ~int64](n T) string { return fmt.Sprint(n) }

// recorded is an event as JSON output has it.
type recorded struct {
	Number         int64           `json:"number"`
	Stream         string          `json:"stream"`
	Version        int64           `json:"version"`
	ID             uuid.UUID       `json:"id"`
	Type           string          `json:"type"`
	CausationID    uuid.UUID       `json:"causation_id,omitzero"`
	CorrelationID  uuid.UUID       `json:"correlation_id,omitzero"`
	CreatedAt      time.Time       `json:"created_at"`
	ContentType    string          `json:"content_type,omitempty"`
	Data           json.RawMessage `json:"data,omitempty"`
	DataBase64     []byte          `json:"data_base64,omitempty"`
	Metadata       json.RawMessage `json:"metadata,omitempty"`
	MetadataBase64 []byte          `json:"metadata_base64,omitempty"`
}

func viewOf(e store.Recorded) recorded {
	v := recorded{
		Number: e.Number, Stream: e.Stream, Version: e.Version, ID: e.ID, Type: e.Type, CausationID: e.CausationID,
		CorrelationID: e.CorrelationID, CreatedAt: e.CreatedAt, ContentType: e.ContentType,
	}
	v.Data, v.DataBase64 = jsonOr(e.Data)
	v.Metadata, v.MetadataBase64 = jsonOr(e.Metadata)
	return v
}

// jsonOr returns bytes as JSON if they are that, else as bytes.
func jsonOr(b []byte) (json.RawMessage, []byte) {
	if json.Valid(b) {
		return b, nil
	}
	return nil, b
}

// printEvent prints an event on one line.
func (a *app) printEvent(e store.Recorded) error {
	if a.json() {
		return a.object(viewOf(e))
	}
	return a.say("%8d  %s  %s  %s  %s", e.Number, at(e.CreatedAt), fmt.Sprintf("%s@%d", clean(e.Stream), e.Version), a.green(clean(e.Type)), dataText(e.Data, e.ContentType))
}

// clean replaces control characters, which would move the terminal's cursor or forge lines.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// dataText is data as people read it, on one line.
func dataText(data []byte, contentType string) string {
	if json.Valid(data) {
		return strings.TrimSpace(string(compact(data)))
	}
	return fmt.Sprintf("(%d bytes of %s)", len(data), contentType)
}

func compact(data []byte) []byte {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(json.RawMessage(data)); err != nil {
		return data
	}
	return []byte(b.String())
}
