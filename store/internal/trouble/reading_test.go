package trouble

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestReading: an error of reading is listed when an attempt fails after the lease was renewed, and is over when reading succeeds or
// has come further.
func TestReading(t *testing.T) {
	t.Parallel()
	broken := errors.New("the page is broken")
	type step struct {
		do     string
		err    error
		number int64
		listed string // what is to be written: a text, or "-" for none
	}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"an outage is not listed", []step{{"own", broken, 5, "-"}, {"own", broken, 5, "-"}, {"own", nil, 5, "-"}}},
		{"the database answers", []step{{"own", broken, 5, "-"}, {"renewed", nil, 5, "-"}, {"own", broken, 5, broken.Error()}}},
		{"the renewal came before the error", []step{{"renewed", nil, 5, "-"}, {"own", broken, 5, "-"}}},
		{"the feed alone can't read", []step{{"fed", broken, 5, "-"}, {"renewed", nil, 5, "-"}, {"fed", broken, 5, broken.Error()}}},
		{"it reads again", []step{
			{"own", broken, 5, "-"}, {"renewed", nil, 5, "-"}, {"own", broken, 5, broken.Error()}, {"own", nil, 5, "-"},
		}},
		{"the feed still can't", []step{
			{"own", broken, 5, "-"}, {"fed", broken, 5, "-"}, {"renewed", nil, 5, "-"}, {"own", broken, 5, broken.Error()},
			{"own", nil, 5, broken.Error()}, {"fed", nil, 5, "-"},
		}},
		{"it has come further", []step{
			{"own", broken, 5, "-"}, {"renewed", nil, 5, "-"}, {"own", broken, 5, broken.Error()}, {"own", nil, 6, "-"},
			{"own", broken, 6, "-"},
		}},
		{"another lease", []step{
			{"own", broken, 5, "-"}, {"renewed", nil, 5, "-"}, {"own", broken, 5, broken.Error()}, {"begin", nil, 4, "-"}, {"own", broken, 5, "-"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var l List
			var r Reading
			for i, s := range c.steps {
				switch s.do {
				case "own":
					r.Own(s.err, &l, s.number, 4)
					assert.Equal(t, s.err, r.OwnError(), "step %d", i+1)
				case "fed":
					assert.Equal(t, s.err != nil || r.FeedError() != nil, r.Fed(s.err, &l, s.number, 4), "step %d", i+1)
					assert.Equal(t, s.err, r.FeedError(), "step %d", i+1)
				case "renewed":
					r.Renewed()
				case "begin":
					r.Begin(&l, s.number)
					assert.NoError(t, errors.Join(r.OwnError(), r.FeedError()), "step %d", i+1)
				}
				listed := "-"
				if p := l.Pending(); p != nil {
					listed = p.Text
				}
				assert.Equal(t, s.listed, listed, "step %d: %s", i+1, s.do)
			}
		})
	}
}
