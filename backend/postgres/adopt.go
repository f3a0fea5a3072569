package postgres

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"
)

const renamedAdvice = "its functions name another schema, since it was renamed, or restored from a schema of another name: " +
	"run migrate.Up(ctx, backend) or `eventstore migrate` once, while no program writes to it"

// ofSchema finds the functions whose bodies name the schema, and the end of each.
var ofSchema = regexp.MustCompile(`(?ms)^create function /\*schema\.\*/(\w+)/\*of\*/\(.*?^\$body\$;\n`)

// Adoption returns the statements that make a store with tables at a version belong to the schema that the options name, after the
// schema was renamed: the functions that name it, as the migrations up to that version have them, in place of those of before.
// Package migrate runs them.
func (b *Backend) Adoption(version int) (string, error) {
	files, err := fs.Glob(migrations, "migrations/*.up.sql")
	if err != nil {
		return "", err
	}
	var order []string
	last := map[string]string{} // the newest text of each function
	for n, name := range files {
		if n+1 > version {
			break
		}
		text, err := fs.ReadFile(migrations, name)
		if err != nil {
			return "", err
		}
		for _, found := range ofSchema.FindAllStringSubmatch(string(text), -1) {
			if _, known := last[found[1]]; !known {
				order = append(order, found[1])
			}
			last[found[1]] = found[0]
		}
	}
	if len(order) == 0 {
		return "", fmt.Errorf("postgres: no migration up to version %d makes a function", version)
	}
	var out strings.Builder
	for _, name := range order {
		out.WriteString(last[name])
	}
	return strings.NewReplacer(b.opts.replacements()...).Replace(out.String()) + b.queries.Get("migrate_adopt"), nil
}
