package partition

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestRoster(t *testing.T) {
	t.Parallel()
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	elsewhere := created.In(time.FixedZone("elsewhere", 3600))
	later := created.Add(time.Microsecond)
	type look struct {
		lost       int64
		created    time.Time
		generation int64
		want       Verdict
	}
	for name, looks := range map[string][]look{
		"nothing changes":                   {{0, created, 1, Same}, {0, elsewhere, 1, Same}},
		"a new generation":                  {{0, created, 2, Renewed}, {0, created, 2, Same}},
		"deleted":                           {{0, later, 1, Deleted}, {0, later, 1, Deleted}},
		"deleted beats a new generation":    {{0, later, 2, Deleted}},
		"a partition is missing":            {{1, created, 1, Missing}, {0, created, 1, Missing}},
		"it was there: there are others":    {{1, created, 2, Renewed}, {0, created, 2, Same}},
		"a late worker of a generation ago": {{0, created, 2, Renewed}, {1, created, 2, Same}},
		"missing once more":                 {{1, created, 2, Renewed}, {2, created, 2, Missing}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := NewRoster(created, 1)
			for n, l := range looks {
				if l.lost > 0 {
					r.Lost(l.lost)
				}
				assert.Equal(t, l.want, r.Seen(l.created, l.generation), "look %d", n)
			}
		})
	}
}
