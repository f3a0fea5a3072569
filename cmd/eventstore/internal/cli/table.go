package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// table prints rows under titles, aligned. A title that begins with > is of a column of numbers. On a terminal that is too narrow,
// each row becomes a block with a line for each title.
func (a *app) table(titles []string, rows [][]string) error {
	t := tableOf(titles, rows)
	if width := columns(a.out); width > 0 && t.width() > width {
		return a.print(a.out, t.blocks())
	}
	var b strings.Builder
	b.WriteString(string(a.bold(t.line(t.titles))) + "\n")
	for _, row := range t.rows {
		b.WriteString(t.line(row) + "\n")
	}
	return a.print(a.out, b.String())
}

// table is one whose cells are clean.
type table struct {
	titles []string
	right  []bool // columns of numbers
	widths []int
	rows   [][]string
}

func tableOf(titles []string, rows [][]string) table {
	t := table{make([]string, len(titles)), make([]bool, len(titles)), make([]int, len(titles)), make([][]string, len(rows))}
	for i, title := range titles {
		t.titles[i], t.right[i] = strings.CutPrefix(title, ">")
		t.widths[i] = utf8.RuneCountInString(t.titles[i])
	}
	for i, row := range rows {
		t.rows[i] = make([]string, len(row))
		for j, cell := range row {
			t.rows[i][j] = clean(cell)
			t.widths[j] = max(t.widths[j], utf8.RuneCountInString(t.rows[i][j]))
		}
	}
	return t
}

// gap stands between columns.
const gap = "  "

// width is that of the widest line.
func (t table) width() int {
	width := 0
	for _, row := range append([][]string{t.titles}, t.rows...) {
		width = max(width, utf8.RuneCountInString(t.line(row)))
	}
	return width
}

func (t table) line(row []string) string {
	var b strings.Builder
	for i, cell := range row {
		pad := strings.Repeat(" ", t.widths[i]-utf8.RuneCountInString(cell))
		if t.right[i] {
			b.WriteString(pad + cell)
		} else {
			b.WriteString(cell + pad)
		}
		b.WriteString(gap)
	}
	return strings.TrimRight(b.String(), " ")
}

// blocks are the rows with a line for each title, and an empty line between rows; or "none".
func (t table) blocks() string {
	widest := 0
	for _, title := range t.titles {
		widest = max(widest, utf8.RuneCountInString(title))
	}
	if len(t.rows) == 0 {
		return "none\n"
	}
	var b strings.Builder
	for i, row := range t.rows {
		if i > 0 {
			b.WriteString("\n")
		}
		for j, cell := range row {
			fmt.Fprintf(&b, "%-*s%s%s\n", widest, t.titles[j], gap, cell)
		}
	}
	return b.String()
}

// facts prints names and values, aligned.
func (a *app) facts(list ...string) error {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for i := 0; i < len(list); i += 2 {
		if _, err := fmt.Fprintf(w, "%s\t%s\n", list[i], clean(list[i+1])); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return a.print(a.out, b.String())
}
