package migrate

import (
	"fmt"
	"strconv"
	"strings"
)

// Script returns the statements that bring the tables from one version to another, for other tools and for people. From is 0 where
// there are no tables; to is 0 for the newest version. It asks nothing of the database.
//
// last is the version that it makes. There is no script, and no error, if there is nothing to do.
//
// The script fails if the tables are not at version from. It neither begins nor ends a transaction: run it in one, so that a failure
// leaves nothing behind. Comments in it mark it as one step of goose.
func Script(b Backend, from, to int) (script string, last int, err error) {
	if to, err = target(b, to); err != nil {
		return "", 0, err
	}
	f, err := open(b)
	if err != nil {
		return "", 0, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	if from >= to {
		return "", to, nil
	}
	if from != 0 {
		if err := f.has(from); err != nil {
			return "", 0, err
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "-- +goose Up\n-- +goose StatementBegin\n-- eventstore: from version %d to %d. Run it in one transaction.\n\n", from, to)
	add := func(text string) { out.WriteString(strings.TrimRight(text, "; \n") + ";\n\n") }
	if from == 0 {
		add(b.MigrationQuery("migrate_prepare"))
	} else {
		add(strings.ReplaceAll(b.MigrationQuery("migrate_script_guard"), "/*from*/0", strconv.Itoa(from)))
	}
	for _, v := range f.between(from, to) {
		text, err := f.text(v)
		if err != nil {
			return "", 0, err
		}
		fmt.Fprintf(&out, "-- %s\n\n", f.name(v))
		add(text)
	}
	oldest, err := f.oldest(to)
	if err != nil {
		return "", 0, err
	}
	add(strings.NewReplacer("/*version*/0", strconv.Itoa(to), "/*oldest*/0", strconv.Itoa(oldest)).Replace(b.MigrationQuery("migrate_script_note")))
	out.WriteString("-- +goose StatementEnd\n")
	return out.String(), to, nil
}
