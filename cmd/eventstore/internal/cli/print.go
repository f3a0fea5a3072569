package cli

import (
	"encoding/json"
	"io"
	"strings"

	"golang.org/x/term"
)

// erase ends the status line of a terminal.
const erase = "\r\x1b[K"

// print writes text. If the terminal has a status line, that stays below it.
func (a *app) print(to io.Writer, text string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.status == "" {
		_, err := io.WriteString(to, text)
		return err
	}
	_, _ = io.WriteString(a.err, erase)
	_, err := io.WriteString(to, text)
	_, _ = io.WriteString(a.err, a.status)
	return err
}

// printJSON writes a value as JSON, on one line.
func (a *app) printJSON(to io.Writer, v any) error {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	return a.printLine(to, b.String())
}

// printLine writes a line of JSON.
func (a *app) printLine(to io.Writer, line string) error {
	if terminal(to) {
		line = escape(line)
	}
	return a.print(to, line)
}

// showStatus replaces the status line of the terminal; "" removes it.
func (a *app) showStatus(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.status != "" || text != "" {
		_, _ = io.WriteString(a.err, erase+text)
	}
	a.status = text
}

// columns returns how wide a terminal is, or 0 for no terminal.
func columns(stream any) int {
	f, ok := stream.(interface{ Fd() uintptr })
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}
