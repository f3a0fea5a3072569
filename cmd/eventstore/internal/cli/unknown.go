package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// onlyCommands refuses arguments of a command that only has commands below it, and suggests those that look like the first.
func onlyCommands(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return fmt.Errorf("unknown command %q for %q%s", args[0], cmd.CommandPath(), suggest(args[0], "", names))
}

// wrongFlag makes an error of the flags say which command was misspelled, if that is why the flag is unknown, or which flag looks
// like it.
func wrongFlag(cmd *cobra.Command, err error) error {
	if cmd.HasSubCommands() && cmd.Flags().NArg() > 0 {
		return onlyCommands(cmd, cmd.Flags().Args())
	}
	name, found := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !found {
		return err
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return fmt.Errorf("unknown flag --%s for %q%s", name, cmd.CommandPath(), suggest(name, "--", names))
}

// suggest returns the end of a message: which names look like one that is unknown.
func suggest(unknown, prefix string, names []string) string {
	var like []string
	for _, name := range names {
		if edits(unknown, name) <= 2 && len(unknown) > 2 || len(unknown) > 1 && strings.HasPrefix(name, unknown) {
			like = append(like, fmt.Sprintf("%q", prefix+name))
		}
	}
	if len(like) == 0 {
		return ""
	}
	slices.Sort(like)
	return ": did you mean " + strings.Join(like, " or ") + "?"
}

// edits is how many bytes must be added, removed or replaced to make one text of the other.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0]++
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
