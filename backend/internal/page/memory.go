package page

import "bytes"

// Memory is what the events of a page point to. Their bytes share pieces of memory, so that a page costs few allocations; but
// small ones, since whoever keeps one event keeps all of its piece. Equal strings are one.
type Memory struct {
	piece   []byte
	strings map[string]string
}

// A page of a few events begins with a small piece. What would fill much of a large one has memory of its own.
const (
	smallPiece = 4 << 10
	largePiece = 16 << 10
	alone      = largePiece / 4
)

// Keep copies bytes. What it returns is not nil.
func (m *Memory) Keep(b []byte) []byte {
	switch n := len(b); {
	case n > alone:
		return bytes.Clone(b)
	case m.piece == nil:
		m.piece = make([]byte, 0, smallPiece)
	case cap(m.piece)-len(m.piece) < n:
		m.piece = make([]byte, 0, largePiece)
	}
	at := len(m.piece)
	m.piece = append(m.piece, b...)
	return m.piece[at:len(m.piece):len(m.piece)]
}

// String returns bytes as a string, the same for the same bytes.
func (m *Memory) String(b []byte) string {
	if s, ok := m.strings[string(b)]; ok {
		return s
	}
	if m.strings == nil {
		m.strings = map[string]string{}
	}
	s := string(b)
	m.strings[s] = s
	return s
}
