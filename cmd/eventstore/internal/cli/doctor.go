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

// commands say what to do about findings in the words of the command line.
var commands = map[doctor.Action]string{
	doctor.FinishImport:       finishImport,
	doctor.CreateTables:       "create them with `eventstore init`, or name the right --schema",
	doctor.Migrate:            "bring them up to date with `eventstore migrate`",
	doctor.Rename:             "make them fit with `eventstore migrate`",
	doctor.SubscriptionParked: "see `eventstore subscriptions parked list`, then replay or discard them",
	doctor.SubscriptionDelete: "start the program that runs it, or delete it with `eventstore subscriptions delete`",
	doctor.ProjectionParked:   "see `eventstore projections parked list`, then replay or discard them",
	doctor.ProjectionDelete:   "start the program that runs it, or delete it with `eventstore projections delete`",
	doctor.Reset:              "run `eventstore verify`, compare what the reader has done with the store, then reset it with `eventstore subscriptions reset` or `eventstore projections reset`",
	doctor.ReadLast:           "nobody reads all events, or it is stuck: `eventstore all --backward --limit 1` gives them their positions",
}

func (a *app) finding(f doctor.Finding) error {
	if words, ok := commands[f.Action]; ok {
		f.Advice, f.Action = words, "" // in JSON, too
	}
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
