package dqlite

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/eventstore-go/eventstore/conformance"
	"github.com/eventstore-go/eventstore/store"
)

// groups are what the names of cases begin with that share a cluster. A node keeps the databases of all cases in memory, and its snapshots
// are of all of them: one cluster for the whole suite would get slower and slower.
var groups = []string{
	"append/", "retry/", "event/", "read/", "bytes/", "all/", "link/", "delete/", "matrix/", "streams/", "concurrent/", "store/", "tx/",
	"lease/", "checkpoint/", "filter/", "sub/a", "sub/c", "sub/", "advance/", "project/r", "project/",
}

// excuses gives reasons by the names of cases.
func excuses() map[string]string {
	excused := conformance.Excuse("SQLite has one writer at a time", conformance.NeedTwoWriters()...)
	maps.Copy(excused, conformance.Excuse("an append of thousands of events is as many messages to the leader, and takes longer than the case lasts", large...))
	return excused
}

var large = []string{"append/large", "tx/large", "project/reset-many"}

func TestConformance(t *testing.T) {
	var covered []string
	for _, group := range append(groups, "") {
		t.Run(cmp.Or(strings.Trim(group, "/"), "others"), func(t *testing.T) {
			c := Start(t)
			var n atomic.Int64
			conformance.Run(t, conformance.Harness{
				Name: "sqlite/dqlite/" + cmp.Or(group, "others"), Only: []string{group}, Without: slices.Clone(covered), Excused: excuses(),
				New: func(tb testing.TB) store.Storage { return backend(tb, c, fmt.Sprint("case-", n.Add(1))) },
			})
		})
		covered = append(covered, group)
	}
}
