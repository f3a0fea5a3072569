package commanded

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/store"
)

// names says which streams get another name, and which are left out.
type names struct {
	rename map[string]string
	skip   map[string]bool
	asked  []string // old=new, not resolved yet: either may have an equals sign

	later   bool     // there was an earlier run
	earlier []string // skipped by earlier runs
}

func newNames(o Options) (n names, err error) {
	n = names{rename: map[string]string{}, skip: map[string]bool{}, asked: o.Rename}
	for _, r := range o.Rename {
		if !strings.Contains(r, "=") {
			return n, &MappingError{fmt.Sprintf("--rename wants OLD=NEW, not %q", r)}
		}
	}
	for _, name := range o.Skip {
		if name == store.All {
			return n, &MappingError{"--skip can't leave out " + store.All}
		}
		n.skip[name] = true
	}
	return n, nil
}

// of returns what a stream is called in the store, and whether it is kept.
func (n *names) of(name string) (string, bool) {
	if n.skip[name] {
		return name, false
	}
	if other, ok := n.rename[name]; ok {
		return other, true
	}
	return name, true
}

// recall adds names of earlier runs. They may be gone in the source.
func (n *names) recall(f archive.Following) {
	for old, name := range f.Rename {
		n.rename[old] = name
	}
	n.earlier, n.later = f.Skip, f.Mark != archive.Mark{}
}

// Mapped reports whether the source gives streams the names that it gave them in an archive, and leaves out the same. Then it takes
// over what was resolved: the streams may be gone.
func (s *Source) Mapped(rename map[string]string, skip []string) bool {
	n := &s.names
	if !slices.Equal(n.skipped(), skip) {
		return false
	}
	if n.asked == nil {
		return maps.Equal(n.rename, rename)
	}
	var then []string
	for old, name := range rename {
		then = append(then, old+"="+name)
	}
	now := slices.Sorted(slices.Values(n.asked))
	slices.Sort(then)
	if !slices.Equal(slices.Compact(now), then) {
		return false
	}
	n.rename, n.asked = maps.Clone(rename), nil
	return true
}

// fit returns a NamesError if a name is refused: it came into the source after the names were checked.
func (s *Source) fit(kind, name string) error {
	most := map[string]int{"event type": store.MaxType, "snapshot type": store.MaxType, "subscription": store.MaxSubscriptionName}[kind]
	if most == 0 {
		most = store.MaxStreamName
	}
	reserved := strings.HasPrefix(name, "$") && kind != "event type" && kind != "snapshot type" && kind != "snapshot"
	if name != "" && len(name) <= most && (!reserved || name == store.All && kind == "subscribed stream") {
		return nil
	}
	return &NamesError{Where: s.where.String(), Schema: s.schema, Names: []Name{{kind, name}}, Total: 1}
}

// olds returns what streams are called in the source.
func (n *names) olds(texts []string) []string {
	old := map[string]string{}
	for from, to := range n.rename {
		old[to] = from
	}
	list := make([]string, len(texts))
	for i, text := range texts {
		list[i] = text
		if from, ok := old[text]; ok {
			list[i] = from
		}
	}
	return list
}

// given are the names that get another one, or are left out.
func (n *names) given() []string { return append(slices.Sorted(maps.Keys(n.rename)), n.skipped()...) }

func (n *names) skipped() []string { return slices.Sorted(maps.Keys(n.skip)) }

// list is a JSON list.
func list(texts []string) string {
	if texts == nil {
		texts = []string{}
	}
	text, err := json.Marshal(texts)
	if err != nil {
		panic(err) // never, of strings
	}
	return string(text)
}

// resolve finds out which names are meant: they must be there. Of several equals signs, the one that stands behind a name counts.
func (s *Source) resolve(ctx context.Context, tx *sql.Tx) error {
	n := &s.names
	var candidates []string
	for _, r := range n.asked {
		for i := range len(r) {
			if r[i] == '=' {
				candidates = append(candidates, r[:i], r[i+1:])
			}
		}
	}
	candidates = append(candidates, slices.Collect(maps.Values(n.rename))...)
	known := map[string]bool{}
	err := s.each(ctx, tx, "known", func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		known[name] = true
		return err
	}, list(append(candidates, n.skipped()...)))
	if err != nil {
		return err
	}
	for _, name := range n.skipped() {
		if !known[name] && !slices.Contains(n.earlier, name) {
			return &MappingError{fmt.Sprintf("--skip %q: there is no such stream at %s", name, s.where)}
		}
	}
	for _, name := range n.earlier {
		n.skip[name] = true
	}
	for _, r := range n.asked {
		if err := n.add(r, known); err != nil {
			return err
		}
	}
	n.asked = nil
	return n.clash(known)
}

// add adds a name that is changed.
func (n *names) add(r string, known map[string]bool) error {
	found := -1
	for i := range len(r) {
		if r[i] != '=' || !known[r[:i]] {
			continue
		}
		if found >= 0 {
			return &MappingError{fmt.Sprintf("--rename %q: there are streams %q and %q; rename one of them in the source", r, r[:found], r[:i])}
		}
		found = i
	}
	if found < 0 {
		return &MappingError{fmt.Sprintf("--rename %q: there is no such stream", r)}
	}
	old, name := r[:found], r[found+1:]
	switch {
	case old == store.All:
		return &MappingError{fmt.Sprintf("--rename %q: %s can't have another name", r, store.All)}
	case n.skip[old]:
		return &MappingError{fmt.Sprintf("%q is both renamed and skipped", old)}
	case name == "" || len(name) > store.MaxStreamName || strings.HasPrefix(name, "$") || strings.ContainsRune(name, 0) || !utf8.ValidString(name):
		return &MappingError{fmt.Sprintf("--rename %q: %q is refused, too (empty, too long, or starting with $)", r, name)}
	}
	if other, ok := n.rename[old]; ok && other != name {
		return &MappingError{fmt.Sprintf("--rename gives %q two names: %q and %q", old, other, name)}
	}
	n.rename[old] = name
	return nil
}

// clash returns an error if two streams would have one name.
func (n *names) clash(known map[string]bool) error {
	olds := map[string]string{}
	for _, old := range slices.Sorted(maps.Keys(n.rename)) {
		name := n.rename[old]
		_, moved := n.rename[name]
		if other, ok := olds[name]; ok {
			return &MappingError{fmt.Sprintf("--rename calls both %q and %q %q", other, old, name)}
		}
		if known[name] && !moved && !n.skip[name] {
			return &MappingError{fmt.Sprintf("--rename %q: there is a stream %q already", old+"="+name, name)}
		}
		olds[name] = old
	}
	return nil
}
