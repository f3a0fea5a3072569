package migrate

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// name is of something that a migration creates.
type name struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

// What a migration creates begins a line. A name may have a schema before it, in quotes.
var (
	comment     = regexp.MustCompile(`--[^\n]*`)
	created     = regexp.MustCompile(`(?m)^create (?:or replace )?(?:unique )?(table|view|index|sequence|trigger) (?:if not exists )?(?:"(?:[^"]|"")*"\.)?(\w+|"(?:[^"]|"")*")`)
	constraints = regexp.MustCompile(`(?m)^ *constraint (\w+) (?:primary key|unique)`)
	functions   = regexp.MustCompile(`(?m)^create (?:or replace )?function (?:"(?:[^"]|"")*"\.)?(\w+)\s*\(([^()]*)\)`)
)

// creates returns the names of what a migration creates, with constraints that make an index.
func creates(text string) (list []name) {
	text = comment.ReplaceAllString(text, "")
	for _, found := range created.FindAllStringSubmatch(text, -1) {
		list = append(list, name{found[1], unquoted(found[2])})
	}
	for _, found := range constraints.FindAllStringSubmatch(text, -1) {
		list = append(list, name{"constraint", found[1]})
	}
	for _, found := range functions.FindAllStringSubmatch(text, -1) {
		list = append(list, name{"function", found[1] + "(" + strings.Join(types(found[2]), ", ") + ")"})
	}
	return list
}

func unquoted(name string) string {
	if inner, quoted := strings.CutPrefix(name, `"`); quoted {
		return strings.ReplaceAll(strings.TrimSuffix(inner, `"`), `""`, `"`)
	}
	return name
}

// types returns the types of a function's arguments, each of which has a name.
func types(arguments string) (list []string) {
	for argument := range strings.SplitSeq(arguments, ",") {
		name, of, _ := strings.Cut(strings.TrimSpace(argument), " ")
		if name != "" && name != "out" {
			of, _, _ = strings.Cut(of, " default ")
			list = append(list, strings.TrimSpace(of))
		}
	}
	return list
}

// checkNames returns a NameTakenError if something that is not the store's has the name of what the migrations up to a version create.
func (d *driver) checkNames(present bool, to int) error {
	var list []name
	if !present {
		list = creates(d.backend.MigrationQuery("migrate_prepare"))
	}
	for _, v := range d.files.between(d.version, to) {
		text, err := d.files.text(v)
		if err != nil {
			return err
		}
		list = append(list, creates(text)...)
	}
	if len(list) == 0 {
		return nil
	}
	arg, err := json.Marshal(list)
	if err != nil {
		return err
	}
	taken, err := d.taken(string(arg))
	if err != nil || len(taken) == 0 {
		return err
	}
	e := &NameTakenError{Names: taken}
	if p, ok := d.backend.(Placer); ok {
		e.Where, e.Advice = p.Place()
	}
	return e
}

func (d *driver) taken(list string) (taken []string, err error) {
	failed := func(err error) error { return fmt.Errorf("migrate: migrate_taken: %w", err) }
	rows, err := d.conn.QueryContext(d.ctx, d.backend.MigrationQuery("migrate_taken"), list)
	if err != nil {
		return nil, failed(err)
	}
	defer func() {
		if e := errors.Join(rows.Err(), rows.Close()); e != nil && err == nil {
			err = failed(e)
		}
	}()
	for rows.Next() {
		var kind, name string
		if err := rows.Scan(&kind, &name); err != nil {
			return nil, failed(err)
		}
		taken = append(taken, kind+" "+name)
	}
	return taken, nil
}
