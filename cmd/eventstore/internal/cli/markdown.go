package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Markdown is the manual of a tree of commands.
func Markdown(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("# The command line\n\nWritten by the commands themselves. To install it: `go install github.com/eventstore-go/eventstore/cmd/eventstore@latest`.\n")
	b.WriteString("\nThe shell completes commands, flags, and the names of streams, event types, subscriptions and projections, which it asks of the\n" +
		"database in EVENTSTORE_DB or --db. It waits for one second, or the duration in EVENTSTORE_COMPLETION_TIMEOUT.\n" +
		"`eventstore completion bash --help` (or zsh, fish, powershell) says how to install it.\n")
	root.InitDefaultCompletionCmd()
	root.DisableAutoGenTag = true
	manual(&b, root)
	return b.String()
}

func manual(b *strings.Builder, c *cobra.Command) {
	if c.Name() == "help" || c.Name() == "completion" && c.HasParent() {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n", c.CommandPath())
	about := c.Long
	if about == "" {
		about = c.Short + "."
	}
	if lines, table, found := strings.Cut(about, "Exit codes:\n"); found {
		about = lines + "Exit codes:\n\n```\n" + table + "\n```"
	}
	b.WriteString(about + "\n")
	if c.Runnable() {
		fmt.Fprintf(b, "\n```\n%s\n```\n", c.UseLine())
	}
	if c.HasAvailableSubCommands() {
		b.WriteString("\n")
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() && sub.Name() != "completion" {
				fmt.Fprintf(b, "- [%s](#%s): %s\n", sub.CommandPath(), strings.ReplaceAll(sub.CommandPath(), " ", "-"), sub.Short)
			}
		}
	}
	if c.Example != "" {
		fmt.Fprintf(b, "\nExamples:\n\n```sh\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(c.Example, "  "), "\n  ", "\n"))
	}
	if flags := c.NonInheritedFlags().FlagUsagesWrapped(110); flags != "" {
		fmt.Fprintf(b, "\nFlags:\n\n```\n%s```\n", flags)
	}
	for _, sub := range c.Commands() {
		manual(b, sub)
	}
}
