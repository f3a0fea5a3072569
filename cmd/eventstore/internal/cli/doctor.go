package cli

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/doctor"
)

func (a *app) doctor() *cobra.Command {
	var o doctor.Options
	var quiet bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what makes a store slow, unsafe or stuck; exit 1 if there is a problem",
		Long: `Look for what makes a store slow, unsafe or stuck: settings of the server, old transactions, what is missing in the schema,
readers that have stopped or don't move. Each finding comes with advice. It only reads.

The exit code is 1 if there is a problem; warnings and notes don't count.`,
		Example: `  eventstore doctor --quiet
  eventstore doctor -o json | jq 'select(.level != "ok")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			d, err := a.open()
			if err != nil {
				return err
			}
			defer func() { err = inDatabase(d, errors.Join(err, d.Close())) }()
			end := a.busy("examining")
			found, err := doctor.Examine(cmd.Context(), d, o)
			end()
			if err != nil {
				return err
			}
			for _, f := range found {
				if quiet && f.Level == doctor.Good {
					continue
				}
				if err := a.finding(f); err != nil {
					return err
				}
			}
			if doctor.Worst(found) == doctor.Problem {
				return errFound
			}
			return nil
		},
	}
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "leave out what is well")
	c.Flags().DurationVar(&o.Long, "long", time.Minute, "from when on it is reported that a transaction is open, or a reader has not moved")
	return c
}

func (a *app) finding(f doctor.Finding) error {
	if a.json() {
		return a.object(f)
	}
	level := f.Level.String()
	paint := map[doctor.Level]func(string) painted{doctor.Good: a.green, doctor.Note: a.bold, doctor.Warning: a.yellow, doctor.Problem: a.red}[f.Level]
	if err := a.say("%s%s  %s: %s", paint(level), "       "[:7-len(level)], f.Check, f.What); err != nil || f.Advice == "" {
		return err
	}
	return a.say("         %s", f.Advice)
}
