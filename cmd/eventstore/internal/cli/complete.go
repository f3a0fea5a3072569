package cli

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/stats"
	"github.com/eventstore-go/eventstore/store"
)

// mostNames is how many names completion proposes at most.
const mostNames = 200

// completionTimeout returns how long completion waits for the database. If there is no answer by then, there is nothing to choose
// from, and no error. Default: 1 second; a duration in EVENTSTORE_COMPLETION_TIMEOUT changes it.
func completionTimeout() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("EVENTSTORE_COMPLETION_TIMEOUT")); err == nil && d > 0 {
		return d
	}
	return time.Second
}

// names lists names that begin with prefix; others in the list are left out. before are the arguments before it.
type names func(ctx context.Context, d *database.Database, es *store.Store, prefix string, before []string) ([]string, error)

// flagValues are the values of flags that take one of a few.
var flagValues = map[string][]string{
	"output":    {"text", "json"},
	"expected":  {"any", "no-stream", "exists"},
	"sort":      {"id", "name", "version", "created", "deleted"},
	"status":    {"active", "deleted"},
	"data-type": {"bytea", "jsonb", "json"},
}

// flagNames are the names that values of flags are among.
var flagNames = map[string]names{"type": recentTypes, "stream": streamNames(""), "prefix": streamNames("")}

// complete gives a tree of commands its completion: arguments by what they are called in the command's Use, flags by their names.
func (a *app) complete(c *cobra.Command) {
	c.Flags().VisitAll(a.completeFlag(c))
	c.PersistentFlags().VisitAll(a.completeFlag(c))
	_, use, _ := strings.Cut(c.Use, " ")
	args := strings.Fields(use)
	if !strings.Contains(use, "FILE") && c.ValidArgsFunction == nil && !c.HasSubCommands() {
		c.ValidArgsFunction = func(cmd *cobra.Command, before []string, prefix string) ([]string, cobra.ShellCompDirective) {
			return a.propose(cmd, argument(c, args, len(before)), prefix, before)
		}
	}
	for _, sub := range c.Commands() {
		a.complete(sub)
	}
}

// argument returns what lists the values of an argument, or nil.
func argument(c *cobra.Command, args []string, n int) names {
	if n >= len(args) {
		return nil
	}
	switch {
	case args[n] == "NAME" && n > 0:
		return subscriptionNames
	case args[n] == "NAME":
		return projectionNames
	case args[n] == "STREAM" && len(args) > 1 && args[1] == "NAME":
		return subscribedStreams
	case args[n] == "STREAM" && c.Name() == "undelete":
		return streamNames(store.Deleted)
	case args[n] == "STREAM" && c.Name() == "delete":
		return streamNames("") // a hard delete may follow a soft one
	case args[n] == "STREAM":
		return streamNames(store.Active)
	}
	return nil
}

func (a *app) completeFlag(c *cobra.Command) func(f *pflag.Flag) {
	return func(f *pflag.Flag) {
		if values, ok := flagValues[f.Name]; ok {
			_ = c.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // only once
		}
		if list, ok := flagNames[f.Name]; ok {
			_ = c.RegisterFlagCompletionFunc(f.Name, func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
				return a.propose(cmd, list, prefix, nil)
			})
		}
	}
}

// propose returns the names to choose from.
func (a *app) propose(cmd *cobra.Command, list names, prefix string, before []string) (proposed []string, _ cobra.ShellCompDirective) {
	if list == nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionTimeout())
	defer cancel()
	_ = a.with(ctx, func(d *database.Database, es *store.Store) error { // an error proposes nothing
		found, err := list(ctx, d, es, prefix, before)
		for _, name := range found {
			if strings.HasPrefix(name, prefix) && !strings.ContainsFunc(name, unicode.IsControl) && len(proposed) < mostNames {
				proposed = append(proposed, name)
			}
		}
		return err
	})
	return proposed, cobra.ShellCompDirectiveNoFileComp
}

// streamNames lists streams of a status by name, from the prefix on. Index: that of the names.
func streamNames(status store.StreamStatus) names {
	return func(ctx context.Context, d *database.Database, _ *store.Store, prefix string, _ []string) (found []string, err error) {
		if info, err := d.Backend.StreamInfo(ctx, prefix); err == nil && (status == "" || info.Status() == status) {
			found = append(found, prefix) // the list may begin behind it
		}
		list, err := d.Backend.ListStreams(ctx, store.ListRequest{
			StreamFilter: store.StreamFilter{Status: status}, SortBy: store.SortName, Limit: mostNames, After: &store.StreamInfo{Stream: prefix},
		})
		for _, s := range list {
			found = append(found, s.Stream)
		}
		return slices.Compact(found), err
	}
}

func recentTypes(ctx context.Context, d *database.Database, _ *store.Store, _ string, _ []string) ([]string, error) {
	return stats.RecentTypes(ctx, d, mostTypes)
}

const mostTypes = 10_000

func projectionNames(ctx context.Context, _ *database.Database, es *store.Store, _ string, _ []string) (found []string, err error) {
	list, err := es.Projections(ctx)
	for _, p := range list {
		found = append(found, p.Name)
	}
	return found, err
}

// subscribedStreams lists the streams that have subscriptions.
func subscribedStreams(ctx context.Context, _ *database.Database, es *store.Store, _ string, _ []string) (found []string, err error) {
	list, err := es.Subscriptions(ctx)
	for _, s := range list {
		found = append(found, s.Stream)
	}
	slices.Sort(found)
	return slices.Compact(found), err
}

// subscriptionNames lists the subscriptions on the stream before it.
func subscriptionNames(ctx context.Context, _ *database.Database, es *store.Store, _ string, before []string) (found []string, err error) {
	list, err := es.Subscriptions(ctx)
	for _, s := range list {
		if s.Stream == before[len(before)-1] {
			found = append(found, s.Name)
		}
	}
	return found, err
}
