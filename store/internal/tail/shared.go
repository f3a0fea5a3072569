package tail

import "time"

// Answer is the answer to a poll: where the store ended, and the id of the event at the position that the poll was about.
type Answer struct {
	At   time.Time // when the poll began
	Head int64
	ID   ID
}

// Poll is the last answer that the feeds of a process share.
//
//	state       | a feed polls                   | out
//	empty       | about any position             | poll, and Learn the answer unless the poll fails
//	about p     | about p, younger than its age  | the answer
//	about p     | about p, older                 | poll, and Learn
//	about p     | about another position         | poll, and Learn
type Poll struct {
	position int64
	answer   Answer
}

// Known returns the answer about a position if it is younger than age.
func (p *Poll) Known(position int64, age time.Duration, now time.Time) (a Answer, ok bool) {
	ok = !p.answer.At.IsZero() && p.position == position && now.Sub(p.answer.At) < age
	if !ok {
		return Answer{}, false
	}
	return p.answer, true
}

// Learn keeps the answer about a position.
func (p *Poll) Learn(position int64, a Answer) { p.position, p.answer = position, a }

// Streams is the last look at streams that the feeds of a process share. S describes a stream.
//
//	a feed looks around                                        | out
//	at streams of which one was not looked at                  | look at the streams of all feeds, and Learn unless that fails
//	at others, and the last look is older than every/2         | the same
//	at others, and the last look is younger                    | the streams that existed
type Streams[S any] struct {
	at    time.Time
	asked map[string]bool
	there map[string]S
}

// Known reports whether the last look covers some streams and is at most half of every old: feeds of one interval look around at about
// the same moment.
func (s *Streams[S]) Known(names []string, every time.Duration, now time.Time) bool {
	if now.Sub(s.at) > every/2 {
		return false
	}
	for _, name := range names {
		if !s.asked[name] {
			return false
		}
	}
	return true
}

// Of returns those of some streams that existed at the last look.
func (s *Streams[S]) Of(names []string) map[string]S {
	there := map[string]S{}
	for _, name := range names {
		if x, ok := s.there[name]; ok {
			there[name] = x
		}
	}
	return there
}

// Learn keeps a look: there describes the streams that existed of those that were asked for.
func (s *Streams[S]) Learn(at time.Time, asked []string, there map[string]S) {
	s.at, s.there, s.asked = at, there, make(map[string]bool, len(asked))
	for _, name := range asked {
		s.asked[name] = true
	}
}
