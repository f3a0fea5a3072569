package queue

import "math/bits"

// numbers is a set of numbers, with one bit for each between those that are near each other.
type numbers struct {
	chunks map[int64]*chunk // by number / chunkSize
	low    int64            // no chunk is below
	high   int64            // nor above
}

const chunkSize = 1024

type chunk struct {
	words [chunkSize / 64]uint64
	n     int
}

func (s *numbers) add(number int64) {
	at := number / chunkSize
	c := s.chunks[at]
	if c == nil {
		if len(s.chunks) == 0 {
			s.chunks, s.low, s.high = map[int64]*chunk{}, at, at
		}
		c = &chunk{}
		s.chunks[at] = c
		s.low, s.high = min(s.low, at), max(s.high, at)
	}
	word, bit := &c.words[number%chunkSize/64], uint64(1)<<(number%64)
	if *word&bit == 0 {
		*word |= bit
		c.n++
	}
}

func (s *numbers) has(number int64) bool {
	c := s.chunks[number/chunkSize]
	return c != nil && c.words[number%chunkSize/64]&(1<<(number%64)) != 0
}

// remove removes all numbers from one up to another.
func (s *numbers) remove(from, upTo int64) {
	for at := max(from/chunkSize, s.low); at <= min(upTo/chunkSize, s.high); at++ {
		c := s.chunks[at]
		if c == nil {
			continue
		}
		for n := max(from, at*chunkSize); n <= min(upTo, at*chunkSize+chunkSize-1); n++ {
			if word, bit := &c.words[n%chunkSize/64], uint64(1)<<(n%64); *word&bit != 0 {
				*word &^= bit
				c.n--
			}
		}
		if c.n == 0 {
			delete(s.chunks, at)
		}
	}
}

// lowest returns the lowest number. ok is false if there is none.
func (s *numbers) lowest() (number int64, ok bool) {
	if len(s.chunks) == 0 {
		return 0, false
	}
	for s.chunks[s.low] == nil {
		s.low++
	}
	for i, word := range s.chunks[s.low].words {
		if word != 0 {
			return s.low*chunkSize + int64(i*64+bits.TrailingZeros64(word)), true
		}
	}
	panic("unreachable: an empty chunk is removed")
}
