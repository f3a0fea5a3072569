package cli

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// fit makes the help of a command and of those below it as wide as the terminal.
func fit(c *cobra.Command, width int) {
	c.SetUsageTemplate(strings.ReplaceAll(c.UsageTemplate(), ".FlagUsages", fmt.Sprintf(".FlagUsagesWrapped %d", width)))
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		c.Long = reflow(c.Long, min(width, 100))
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(c)
}

// reflow breaks the lines of paragraphs anew, but for those with lines that begin with a space.
func reflow(text string, width int) string {
	paragraphs := strings.Split(text, "\n\n")
	for i, p := range paragraphs {
		if strings.Contains(p, "\n ") {
			continue
		}
		var b strings.Builder
		column := 0
		for _, word := range strings.Fields(p) {
			n := utf8.RuneCountInString(word)
			switch {
			case column == 0:
			case column+1+n >= width:
				b.WriteByte('\n')
				column = 0
			default:
				b.WriteByte(' ')
				column++
			}
			b.WriteString(word)
			column += n
		}
		paragraphs[i] = b.String()
	}
	return strings.Join(paragraphs, "\n\n")
}
