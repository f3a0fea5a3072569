package tail

import "maps"

// Members are the subscriptions that a feed offers events to. Each is on the stream of all events, the whole, or on a single stream.
//
//	state   | event               | then    | out
//	none    | Add                 | some    | the feed starts
//	some    | the last is removed | none    | the feed stops
//	fed     | Starved(err)        | starved | notify every member
//	fed     | Starved(nil)        | fed     | -
//	starved | Starved(err)        | starved | notify every member, as some may have joined since
//	starved | Starved(nil)        | fed     | notify every member
type Members[M comparable] struct {
	all     string // the name of the whole
	whole   map[M]bool
	streams map[string]map[M]bool
	starved bool
}

// NewMembers returns an empty set. all is the name of the stream of all events.
func NewMembers[M comparable](all string) *Members[M] {
	return &Members[M]{all: all, whole: map[M]bool{}, streams: map[string]map[M]bool{}}
}

// Add adds a member on a stream.
func (m *Members[M]) Add(stream string, x M) {
	if stream == m.all {
		m.whole[x] = true
		return
	}
	on := m.streams[stream]
	if on == nil {
		on = map[M]bool{}
		m.streams[stream] = on
	}
	on[x] = true
}

// Remove removes a member, if it is one.
func (m *Members[M]) Remove(stream string, x M) {
	if stream == m.all {
		delete(m.whole, x)
		return
	}
	on := m.streams[stream]
	delete(on, x)
	if len(on) == 0 {
		delete(m.streams, stream)
	}
}

// None reports whether there are no members.
func (m *Members[M]) None() bool { return len(m.whole)+len(m.streams) == 0 }

// Single reports whether there are members on single streams.
func (m *Members[M]) Single() bool { return len(m.streams) > 0 }

// Whole returns the members on the stream of all events, in no order.
func (m *Members[M]) Whole() func(yield func(M) bool) { return maps.Keys(m.whole) }

// Of returns the members on a single stream, in no order.
func (m *Members[M]) Of(stream string) func(yield func(M) bool) { return maps.Keys(m.streams[stream]) }

// On reports whether a single stream has members.
func (m *Members[M]) On(stream string) bool { return m.streams[stream] != nil }

// Every returns all members, in no order.
func (m *Members[M]) Every() func(yield func(M) bool) {
	return func(yield func(M) bool) {
		for x := range m.whole {
			if !yield(x) {
				return
			}
		}
		for _, on := range m.streams {
			for x := range on {
				if !yield(x) {
					return
				}
			}
		}
	}
}

// Streams returns the single streams that have members, in no order.
func (m *Members[M]) Streams() []string {
	names := make([]string, 0, len(m.streams))
	for name := range m.streams {
		names = append(names, name)
	}
	return names
}

// Starved records why the feed cannot read, or with nil that it can. It reports whether to notify the members.
func (m *Members[M]) Starved(why error) (notify bool) {
	notify = why != nil || m.starved
	m.starved = why != nil
	return notify
}
