package commanded

// Summary counts what was met since [Open].
type Summary struct {
	Orphans     int64 // events without a place in $all: left out
	Lost        int64 // places in $all whose event or stream is not there: left out
	Links       int64 // links whose event is not there any more: left out
	Checkpoints int64 // that count in a stream that is gone, or may: set to 0; or that are beyond the end of $all: lowered to it
	ErlangTerms int64 // events and snapshots with data or metadata in the external term format of Erlang
	Unknown     int64 // and in a format that is neither that nor JSON

	// Of streams that were to be left out.
	SkippedStreams       int64
	SkippedEvents        int64
	SkippedLinks         int64 // in such a stream, or to an event of one
	SkippedSnapshots     int64
	SkippedSubscriptions int64
}

// Summary returns what was counted so far.
func (s *Source) Summary() Summary { return s.summary }

// Anew returns the subscriptions whose checkpoint was set to 0: they are given all events of the stream that has the name now.
func (s *Source) Anew() []string { return s.anew }

// note is a count, its name for programs, and what it says to people.
type note struct {
	count      int64
	name, text string
}

func (s Summary) notes() []note {
	return []note{
		{s.Orphans, "events_without_position", "events that have no place in $all, left out"},
		{s.Lost, "positions_without_event", "places in $all whose event is gone, left out"},
		{s.Links, "links_without_event", "links to events that are gone, left out"},
		{s.Checkpoints, "checkpoints_changed", "checkpoints set back, since they count, or may count, in streams that were hard deleted, or are beyond the end of $all"},
		{s.ErlangTerms, "erlang_terms", "events or snapshots in the external term format of Erlang, marked so"},
		{s.Unknown, "unknown_format", "events or snapshots in an unknown format, marked so"},
		{s.SkippedStreams, "streams_skipped", "streams skipped"},
		{s.SkippedEvents, "events_skipped", "events of skipped streams, left out"},
		{s.SkippedLinks, "links_skipped", "links in skipped streams, or to events of such, left out"},
		{s.SkippedSnapshots, "snapshots_skipped", "snapshots of skipped streams, left out"},
		{s.SkippedSubscriptions, "subscriptions_skipped", "subscriptions on skipped streams, left out"},
	}
}

// LeftOut implements [archive.Source].
func (s *Source) LeftOut() map[string]int64 {
	list := map[string]int64{}
	for _, n := range s.summary.notes() {
		if n.count > 0 {
			list[n.name] = n.count
		}
	}
	return list
}

// Note is what a name and a count of [archive.End.LeftOut] say to people.
type Note struct {
	Count int64
	Text  string
}

// Notes returns those of a source that are not zero, in an order of their own.
func Notes(leftOut map[string]int64) (list []Note) {
	for _, n := range (Summary{}).notes() {
		if count := leftOut[n.name]; count > 0 {
			list = append(list, Note{count, n.text})
		}
	}
	return list
}
