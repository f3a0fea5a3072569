package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/serializer/encryption"
	"github.com/eventstore-go/eventstore/serializer/encryption/sqlkeys"
)

// forgotten is what JSON output says of a subject.
type forgotten struct {
	Subject string `json:"subject"`
	Table   string `json:"table"`
	Keys    int64  `json:"keys"` // deleted now
	Status  string `json:"status"`
}

// keyTableError says that there is no table of keys to forget in.
type keyTableError struct{ reason string }

func (e *keyTableError) Error() string { return e.reason }

// judgeKeys judges errors of keys.
func judgeKeys(err error) (code int, advice string) {
	var table *keyTableError
	var subject *encryption.SubjectError
	switch {
	case errors.As(err, &table):
		return codeUnreachable, "name the table with --keys, or the database that has it with --db; keys that package sqlkeys does not keep must be forgotten where they are"
	case errors.Is(err, errNoSubject):
		return codeNotFound, "is the subject's name right, and is this the table of its keys?"
	case errors.As(err, &subject):
		return codeUsage, ""
	}
	return 0, ""
}

// errNoSubject is returned for a subject that never had a key.
var errNoSubject = errors.New("the subject never had a key in this table")

func (a *app) forget() *cobra.Command {
	var prefix string
	var yes bool
	c := &cobra.Command{
		Use:   "forget SUBJECT",
		Short: "Delete a subject's keys, so that nobody can read its encrypted events any more",
		Long: `Delete the keys of a subject in the table subject_keys of package sqlkeys. Events that were encrypted for the subject can't be
decrypted any more, in this store and in every copy of it; everything else stays as it is. That can't be undone, so it asks,
unless --yes is set. No master key is needed.

The table is looked for in the store's schema, or with its prefix, and then without. Give --keys if it is called otherwise; --db is
the database that has the keys, with or without a store in it.

Programs that run keep keys in memory, for a minute by default, and read the subject's events as long as that. Events
that were not encrypted stay readable, and so do snapshots, read models and the subject's name. A backup of the table brings the keys
back: delete them there, too. Exit code 3: the subject never had a key; 5: there is no table of keys.`,
		Example: `  eventstore forget customer-7
  eventstore forget customer-7 --db postgres://localhost/keys --keys vault. --yes`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			d, err := a.open()
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, d.Close()) }()
			found, err := keyPrefix(cmd.Context(), d, prefix, cmd.Flags().Changed("keys"))
			if err != nil {
				return err
			}
			what := fmt.Sprintf("This deletes the keys of subject %q in table %s of %s for good.", args[0], found+sqlkeys.Table, d.Location)
			if err := a.confirm(yes, what, args[0]); err != nil {
				return err
			}
			return a.forgetIn(cmd.Context(), d, found, args[0])
		},
	}
	c.Flags().StringVar(&prefix, "keys", "", "what stands before the table's name, subject_keys: a beginning of the name, or a schema with its dot")
	c.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return c
}

func (a *app) forgetIn(ctx context.Context, d *database.Database, prefix, subject string) error {
	had, deleted, err := sqlkeys.Forget(ctx, d.DB, prefix, subject)
	if err != nil {
		return err
	}
	table := prefix + sqlkeys.Table
	switch {
	case had == 0:
		return fmt.Errorf("subject %q, table %s: %w", subject, table, errNoSubject)
	case a.json() && deleted == 0:
		return a.object(forgotten{subject, table, 0, "was forgotten"})
	case a.json():
		return a.object(forgotten{subject, table, deleted, "forgotten"})
	case deleted == 0:
		return a.say("%s: was forgotten already", subject)
	}
	keys := "1 key"
	if deleted > 1 {
		keys = fmt.Sprintf("%d keys", deleted)
	}
	return a.say("%s: forgotten, %s deleted in table %s\nprograms that run may read its events until their caches of keys run out: a minute by default", subject, keys, table)
}

// keyPrefix returns what stands before the name of the table of keys.
func keyPrefix(ctx context.Context, d *database.Database, given string, isGiven bool) (string, error) {
	if isGiven {
		if err := sqlkeys.CheckPrefix(given); err != nil {
			return "", usage("--keys: %v", err)
		}
		there, err := d.HasTable(ctx, given+sqlkeys.Table)
		if err == nil && there == "" {
			err = &keyTableError{fmt.Sprintf("there is no table %s in %s; --keys is the Prefix in sqlkeys.Options", given+sqlkeys.Table, d.Location)}
		}
		return given, err
	}
	own := d.Schema
	if d.Kind == database.PostgreSQL {
		own += "."
	}
	found := map[string]string{}
	var looked []string
	prefix := ""
	for _, p := range []string{"", own} { // the last one found is taken
		if sqlkeys.CheckPrefix(p) != nil || slices.Contains(looked, p+sqlkeys.Table) {
			continue // a schema that sqlkeys can't name
		}
		looked = append(looked, p+sqlkeys.Table)
		there, err := d.HasTable(ctx, p+sqlkeys.Table)
		if err != nil {
			return "", err
		}
		if there != "" {
			found[there], prefix = p, p
		}
	}
	switch len(found) {
	case 0:
		return "", &keyTableError{fmt.Sprintf("there is no table of keys in %s (looked for: %s); nothing was forgotten", d.Location, strings.Join(looked, ", "))}
	case 1:
		return prefix, nil
	}
	return "", usage("there are two tables of keys in %s: %s; say which by --keys %s or --keys ''", d.Location, strings.Join(looked, " and "), own)
}
