package commanded

// Summary counts what was met since [Open].
type Summary struct {
	Orphans     int64 `json:"events_without_place"` // events without a place in $all: left out
	Lost        int64 `json:"places_without_event"` // places in $all whose event or stream is not there: left out
	Links       int64 `json:"links_without_event"`  // links whose event is not there any more: left out
	Checkpoints int64 `json:"checkpoints_lowered"`  // that were beyond the end of their stream: lowered to its version
	ErlangTerms int64 `json:"in_erlang_terms"`      // events and snapshots with data or metadata in the external term format of Erlang
	Unknown     int64 `json:"in_unknown_format"`    // and in a format that is neither that nor JSON

	// Of streams that were to be left out.
	SkippedStreams       int64 `json:"streams_skipped"`
	SkippedEvents        int64 `json:"events_skipped"`
	SkippedLinks         int64 `json:"links_skipped"` // in such a stream, or to an event of one
	SkippedSnapshots     int64 `json:"snapshots_skipped"`
	SkippedSubscriptions int64 `json:"subscriptions_skipped"`
}

// Summary returns what was counted so far.
func (s *Source) Summary() Summary { return s.summary }

// Note is a count of a [Summary], with what it says.
type Note struct {
	Count int64
	Text  string
}

// Notes returns the counts that are not zero.
func (s Summary) Notes() (list []Note) {
	for _, n := range []Note{
		{s.Orphans, "events that have no place in $all were left out"},
		{s.Lost, "places in $all whose event is gone were left out"},
		{s.Links, "links to events that are gone were left out"},
		{s.Checkpoints, "checkpoints beyond the end of their stream were set to its end"},
		{s.ErlangTerms, "events or snapshots are in the external term format of Erlang, and marked so"},
		{s.Unknown, "events or snapshots are in an unknown format, and marked so"},
		{s.SkippedStreams, "streams were skipped"},
		{s.SkippedEvents, "events of skipped streams were left out"},
		{s.SkippedLinks, "links in skipped streams, or to events of such, were left out"},
		{s.SkippedSnapshots, "snapshots of skipped streams were left out"},
		{s.SkippedSubscriptions, "subscriptions on skipped streams were left out"},
	} {
		if n.Count > 0 {
			list = append(list, n)
		}
	}
	return list
}
