package conformance

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDocNamesCases: the cases that store/doc.go gives as evidence for its promises are there.
func TestDocNamesCases(t *testing.T) {
	text, err := os.ReadFile("../store/doc.go")
	require.NoError(t, err)
	var names, groups []string
	for _, c := range cases() {
		group, _, _ := strings.Cut(c.name, "/")
		names, groups = append(names, c.name), append(groups, group)
	}
	slices.Sort(groups)
	named := regexp.MustCompile(`\b(`+strings.Join(slices.Compact(groups), "|")+`)/[a-z-]+`).FindAllString(string(text), -1)
	require.Greater(t, len(named), 30)
	for _, name := range named {
		assert.Contains(t, names, name)
	}
}
