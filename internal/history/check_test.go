package history_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/internal/history"
)

// good is a history that breaks no promise:
//
//	clock   1-4  a1 a2 to "a"        at 1, 2
//	        2-3  b1 to "b"           at 3
//	        5-6  a3 to "a"           at 4
//	        7-8  x1 to "a" and rolled back; y1 y2 to "c" and never heard of again
//	        9-12 d1 d2 to "d"        at 5, 6, deleted at 13-16
//	        9-10 a1 and d1 linked to "l"
//	        17-18 d3 to "d"          at 7
func good() *history.History {
	events := seen("a1@1", "a2@2", "b1@1", "a3@3", "d1@1", "d2@2", "d3@1")
	return &history.History{
		Writes: []history.Write{
			{Kind: history.Append, Stream: "a", IDs: []string{"a1", "a2"}, First: 1, Began: 1, Ended: 4, Outcome: history.Committed},
			{Kind: history.Append, Stream: "b", IDs: []string{"b1"}, First: 1, Began: 2, Ended: 3, Outcome: history.Committed},
			{Kind: history.Append, Stream: "a", IDs: []string{"a3"}, First: 3, Began: 5, Ended: 6, Outcome: history.Committed},
			{Kind: history.Append, Stream: "a", IDs: []string{"x1"}, Began: 7, Outcome: history.Refused},
			{Kind: history.Append, Stream: "c", IDs: []string{"y1", "y2"}, Began: 7, Outcome: history.Unknown},
			{Kind: history.Append, Stream: "d", IDs: []string{"d1", "d2"}, First: 1, Began: 9, Ended: 12, Outcome: history.Committed},
			{Kind: history.Link, Stream: "l", IDs: []string{"d1", "a1"}, First: 1, Began: 9, Ended: 10, Outcome: history.Committed},
			{Kind: history.Delete, Stream: "d", Began: 13, Ended: 16, Outcome: history.Committed},
			{Kind: history.Append, Stream: "d", IDs: []string{"d3"}, First: 1, Began: 17, Ended: 18, Outcome: history.Committed},
		},
		Pages: []history.Page{
			{Reader: "early", After: 0, Began: 4, Ended: 5, Events: events[:2]},
			{Reader: "early", After: 2, Began: 6, Ended: 7, End: true, Events: events[2:4]},
			{Reader: "early", After: 4, Began: 12, Ended: 13, End: true, Events: events[4:6]},
			{Reader: "early", After: 6, Began: 14, Ended: 15, End: true},
			{Reader: "late", After: 0, Began: 14, Ended: 19, Events: slices.Concat(events[:4], events[6:])},
		},
		Final: slices.Concat(events[:4], events[6:]),
		Head:  7,
		Streams: map[string][]history.Entry{
			"a": {{Number: 1, ID: "a1"}, {Number: 2, ID: "a2"}, {Number: 3, ID: "a3"}},
			"b": {{Number: 1, ID: "b1"}},
			"d": {{Number: 1, ID: "d3"}},
			"l": {{Number: 2, ID: "a1"}},
		},
	}
}

// seen makes events of ids and versions; the stream is the first letter, positions count from 1.
func seen(events ...string) []history.Seen {
	list := make([]history.Seen, len(events))
	for i, e := range events {
		list[i] = history.Seen{Position: int64(i) + 1, ID: e[:2], Stream: e[:1], Version: int64(e[3] - '0')}
	}
	return list
}

func TestGoodHistoryPasses(t *testing.T) {
	t.Parallel()
	require.Empty(t, good().Check())
}

func TestBadHistoriesAreRefused(t *testing.T) {
	t.Parallel()
	// everywhere changes what all who saw an event saw.
	everywhere := func(h *history.History, change func(*history.Seen)) {
		for i := range h.Pages {
			h.Pages[i].Events = slices.Clone(h.Pages[i].Events)
			for j := range h.Pages[i].Events {
				change(&h.Pages[i].Events[j])
			}
		}
		for i := range h.Final {
			change(&h.Final[i])
		}
	}
	// swap exchanges two events at positions that follow each other.
	swap := func(h *history.History, x, y string) {
		var px, py int64
		for _, s := range h.Final {
			switch s.ID {
			case x:
				px = s.Position
			case y:
				py = s.Position
			}
		}
		everywhere(h, func(s *history.Seen) {
			switch s.ID {
			case x:
				s.Position = py
			case y:
				s.Position = px
			}
		})
		sort := func(s []history.Seen) {
			slices.SortFunc(s, func(x, y history.Seen) int { return int(x.Position - y.Position) })
		}
		for i := range h.Pages {
			sort(h.Pages[i].Events)
		}
		sort(h.Final)
	}
	for _, test := range []struct {
		name  string
		spoil func(h *history.History)
		want  string // one of the violations
	}{
		{"acknowledged append is lost", func(h *history.History) {
			h.Pages, h.Final, h.Head = nil, h.Final[:4], 4
			delete(h.Streams, "d")
		}, `P1: the append of d3 to "d" is lost`},
		{"seen event is lost, though losses are allowed", func(h *history.History) {
			h.Lossy = true
			h.Final = h.Final[:3]
			h.Streams["a"] = h.Streams["a"][:2]
			h.Writes = h.Writes[:4]
		}, `P1: the append of a3 to "a" is lost`},
		{"append is there in part", func(h *history.History) {
			h.Pages, h.Final = nil, slices.Delete(h.Final, 1, 2)
			h.Streams["a"] = h.Streams["a"][:1]
		}, `P1: 1 of 2 events of the append of a1 to "a" are there`},
		{"half of an unknown append is there", func(h *history.History) {
			h.Final = append(h.Final, history.Seen{Position: 8, ID: "y1", Stream: "c", Version: 1})
			h.Head, h.Streams["c"] = 8, []history.Entry{{Number: 1, ID: "y1"}}
		}, `P1: 1 of 2 events of the append of y1 to "c" are there`},
		{"refused append is there", func(h *history.History) {
			h.Final = append(h.Final, history.Seen{Position: 8, ID: "x1", Stream: "a", Version: 4})
			h.Head, h.Streams["a"] = 8, append(h.Streams["a"], history.Entry{Number: 4, ID: "x1"})
		}, "P1: x1 (a@4) at 8 is there, but its append was refused"},
		{"refused append was seen for a while", func(h *history.History) {
			h.Pages = append(h.Pages, history.Page{Reader: "late", After: 7, Began: 20, Ended: 21,
				Events: []history.Seen{{Position: 8, ID: "x1", Stream: "a", Version: 4}}})
			h.Head = 8
		}, "P1: x1 (a@4) at 8 is there, but its append was refused"},
		{"event from nowhere", func(h *history.History) {
			h.Final = append(h.Final, history.Seen{Position: 8, ID: "z1", Stream: "z", Version: 1})
			h.Head, h.Streams["z"] = 8, []history.Entry{{Number: 1, ID: "z1"}}
		}, "P1: z1 (z@1) at 8 was never appended"},
		{"event at another version than acknowledged", func(h *history.History) {
			h.Writes[2].First = 4
		}, "P1: a3 (a@3) at 4 is there, but version 4 was acknowledged"},
		{"stream lacks an event", func(h *history.History) {
			h.Streams["a"] = h.Streams["a"][:2]
		}, `P1: stream "a" has "" as version 3, it should be a3`},
		{"stream is missing", func(h *history.History) {
			delete(h.Streams, "b")
		}, `P1: stream "b" is missing`},
		{"link is lost", func(h *history.History) {
			h.Streams["l"] = nil
		}, `P1: stream "l" has "" as version 2, a1 was acknowledged`},
		{"link to a deleted event stays", func(h *history.History) {
			h.Streams["l"] = []history.Entry{{Number: 1, ID: "d1"}, {Number: 2, ID: "a1"}}
		}, `P1: stream "l" has d1, but the store has not`},
		{"deleted event comes back", func(h *history.History) {
			h.Pages = append(h.Pages, history.Page{Reader: "another", Began: 17, Ended: 18, Events: slices.Concat(h.Pages[0].Events, h.Pages[1].Events, h.Pages[2].Events)})
		}, "P1: another saw d1 (d@1) at 5 after its stream was deleted"},
		{"version gap", func(h *history.History) {
			everywhere(h, func(s *history.Seen) {
				if s.ID == "a3" {
					s.Version = 4
				}
			})
			h.Writes[2].First, h.Streams["a"][2].Number = 4, 4
		}, `P2: stream "a" has no version 3, but 4`},
		{"version twice", func(h *history.History) {
			everywhere(h, func(s *history.Seen) {
				if s.ID == "a3" {
					s.Version = 2
				}
			})
			h.Writes[2].First, h.Streams["a"][2].Number = 2, 2
		}, `P2: a2 and a3 were both acknowledged as version 2 of "a"`},
		{"stream starts above 1", func(h *history.History) {
			h.Streams["b"][0].Number = 2
		}, `P2: stream "b" has no version 1, but 2`},
		{"stream out of order", func(h *history.History) {
			slices.Reverse(h.Streams["a"])
		}, `P2: stream "a" has version 2 behind 3`},
		{"position reassigned", func(h *history.History) {
			h.Pages = append(h.Pages, history.Page{Reader: "late", After: 7, Began: 20, Ended: 21,
				Events: []history.Seen{{Position: 8, ID: "y1", Stream: "c", Version: 1}}})
			h.Final = append(h.Final, history.Seen{Position: 8, ID: "y2", Stream: "c", Version: 2})
		}, "P3: late saw y1 (c@1) at 8, others saw y2 (c@2) at 8 there"},
		{"event moved", func(h *history.History) {
			h.Final[4].Position, h.Head = 8, 8
		}, "P3: late saw d3 (d@1) at 7, which others saw at 8"},
		{"event twice", func(h *history.History) {
			h.Final = append(h.Final, history.Seen{Position: 8, ID: "a3", Stream: "a", Version: 3})
			h.Head = 8
		}, "P3: the last look saw a3 (a@3) at 8, which others saw at 4"},
		{"position gap", func(h *history.History) {
			h.Head = 8
		}, "P3: 1 positions never had an event, the first is 8; 0 at most can be of deleted events"},
		{"position gap in the middle", func(h *history.History) {
			everywhere(h, func(s *history.Seen) {
				if s.Position >= 4 {
					s.Position++
				}
			})
			h.Pages[2].After, h.Pages[3].After, h.Head = 5, 7, 8
		}, "P3: 1 positions never had an event, the first is 4; 0 at most can be of deleted events"},
		{"seen beyond the head", func(h *history.History) {
			h.Head = 6
		}, "P3: d3 (d@1) at 7 was seen, but the head is 6"},
		{"reader missed an event within a page", func(h *history.History) {
			h.Pages[4].Events = slices.Delete(slices.Clone(h.Pages[4].Events), 2, 3)
		}, "P4: late read from 0 to 7 and missed b1 (b@1) at 3"},
		{"reader missed the first event", func(h *history.History) {
			h.Pages[4].Events = slices.Clone(h.Pages[4].Events)[1:]
		}, "P4: late read from 0 to 7 and missed a1 (a@1) at 1"},
		{"reader missed an event between pages", func(h *history.History) {
			h.Pages[1].Events = h.Pages[1].Events[1:]
		}, "P4: early read from 2 to 4 and missed b1 (b@1) at 3"},
		{"reader missed an event before its stream was deleted", func(h *history.History) {
			h.Pages = append(h.Pages, history.Page{Reader: "hasty", Began: 4, Ended: 12, Events: slices.Concat(h.Pages[0].Events, h.Pages[1].Events, h.Pages[2].Events[1:])})
		}, "P4: hasty read from 0 to 6 and missed d1 (d@1) at 5"},
		{"reader stopped too early", func(h *history.History) {
			h.Pages[1].Events = h.Pages[1].Events[:1]
			h.Pages[2].After = 3
			h.Pages[2].Events = slices.Concat(h.Final[3:4], h.Pages[2].Events)
		}, ""}, // at 6 a3 was acknowledged, and the reader asked at 6: not before
		{"reader stopped before what was there", func(h *history.History) {
			h.Pages[1].Began = 7
			h.Pages[1].Events = h.Pages[1].Events[:1]
			h.Pages[2].After = 3
			h.Pages[2].Events = slices.Concat(h.Final[3:4], h.Pages[2].Events)
		}, "P4: early read to its end, 3, but a3 (a@3) at 4 had been committed before"},
		{"reader out of order", func(h *history.History) {
			h.Pages[0].Events = slices.Clone(h.Pages[0].Events)
			slices.Reverse(h.Pages[0].Events)
			h.Pages = h.Pages[:1]
		}, "P5: early saw a1 (a@1) at 1 behind 2"},
		{"stream out of order in the global order", func(h *history.History) {
			everywhere(h, func(s *history.Seen) {
				switch s.ID {
				case "a1":
					s.Version = 2
				case "a2":
					s.Version = 1
				}
			})
			h.Writes[0].First = 0
			h.Streams["a"][0].ID, h.Streams["a"][1].ID = "a2", "a1"
		}, "P5: a1 (a@2) at 1 comes before a2 (a@1) at 2"},
		{"append split", func(h *history.History) {
			swap(h, "a2", "b1")
			h.Pages = h.Pages[4:]
		}, "P5: a1 (a@1) at 1 and a2 (a@2) at 3 are of one append, but not adjacent"},
		{"appends against the clock", func(h *history.History) {
			swap(h, "b1", "a3")
			h.Pages = nil
		}, "P5: a3 (a@3) at 3 comes before b1 (b@1) at 4, but began after that was acknowledged"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := good()
			test.spoil(h)
			var found []string
			for _, v := range h.Check() {
				found = append(found, v.String())
			}
			if test.want == "" {
				require.Empty(t, found)
				return
			}
			assert.Contains(t, found, test.want)
		})
	}
}

func TestLossesAreAllowedWhereNobodySawTheEvent(t *testing.T) {
	t.Parallel()
	h := good()
	h.Lossy = true
	h.Writes = append(h.Writes, history.Write{Kind: history.Append, Stream: "b", IDs: []string{"b2"}, First: 2, Began: 20, Ended: 21, Outcome: history.Committed})
	require.Empty(t, h.Check())
	h.Lossy = false
	require.NotEmpty(t, h.Check())
}
