package store

import (
	"math"
	"strconv"
)

// Expected is the appender's belief about a stream before it writes: [Any], [NoStream], [StreamExists] or
// [Version](n). The zero value is refused with [ErrInvalid]: forgetting it must not mean "any".
type Expected struct {
	n int64 // version+versionZero for Version(n), else one of the constants below
}

const (
	unset        = 0
	any_         = -1
	noStream     = -2
	streamExists = -3
	versionZero  = 1 // so that Version(0) is not the zero value
)

var (
	// Any makes no claim: it never conflicts.
	Any = Expected{any_}
	// NoStream claims that the stream is absent or empty.
	NoStream = Expected{noStream}
	// StreamExists claims that the stream exists, at any version.
	StreamExists = Expected{streamExists}
	// wrongVersion stands for a version that no stream ever has.
	wrongVersion = Expected{-4}
)

// Version claims that the stream is at version n. Version(0) claims that it is absent or empty. No stream is ever
// at a negative version, so every write that expects one conflicts.
func Version(n int64) Expected {
	if n < 0 || n == math.MaxInt64 {
		return wrongVersion // n+versionZero must not wrap around
	}
	return Expected{n + versionZero}
}

// IsZero reports whether e was never set.
func (e Expected) IsZero() bool { return e.n == unset }

// AsVersion returns the n of Version(n), and whether e is one. [NoStream] counts as Version(0): both claim the same.
func (e Expected) AsVersion() (n int64, ok bool) {
	switch {
	case e.n == noStream:
		return 0, true
	case e == wrongVersion:
		return -1, true
	case e.n >= versionZero:
		return e.n - versionZero, true
	}
	return 0, false
}

// MayCreate reports whether a write under this belief may create an absent stream.
func (e Expected) MayCreate() bool {
	return e == Any || e == NoStream || e == Version(0)
}

// String names the belief as the package does.
func (e Expected) String() string {
	switch e {
	case Any:
		return "any version"
	case NoStream:
		return "no stream"
	case StreamExists:
		return "an existing stream"
	case wrongVersion:
		return "an impossible version"
	case Expected{}:
		return "nothing (the zero Expected)"
	}
	return "version " + strconv.FormatInt(e.n-versionZero, 10)
}

// State is what a write under an [Expected] is judged against. For backends.
type State struct {
	Exists  bool
	Version int64
	Deleted bool // soft deleted
}

// Judge returns nil if an append or link to the stream may go ahead, else the error it owes. A backend judges while
// it holds the stream's row lock, or judges again what a lost compare-and-set left behind. Order of judgement:
// deleted, then absent, then version.
func (e Expected) Judge(stream string, s State) error {
	if s.Deleted {
		return &StreamError{Stream: stream, Err: ErrStreamDeleted}
	}
	if e == StreamExists {
		if !s.Exists {
			return &WrongExpectedVersionError{Stream: stream, Expected: e, Actual: 0}
		}
		return nil
	}
	if want, ok := e.AsVersion(); ok && want != s.Version {
		return &WrongExpectedVersionError{Stream: stream, Expected: e, Actual: s.Version}
	}
	return nil
}

// JudgeDelete is [Expected.Judge] for a delete, which differs for an absent stream: there is nothing to delete,
// whatever was believed, unless a version above zero was claimed. A hard delete may follow a soft one.
func (e Expected) JudgeDelete(stream string, s State, kind DeleteKind) error {
	if s.Deleted && kind == SoftDelete {
		return &StreamError{Stream: stream, Err: ErrStreamDeleted}
	}
	if !s.Exists {
		if want, ok := e.AsVersion(); ok && want != 0 {
			return &WrongExpectedVersionError{Stream: stream, Expected: e, Actual: 0}
		}
		return &StreamError{Stream: stream, Err: ErrStreamNotFound}
	}
	s.Deleted = false
	return e.Judge(stream, s)
}

// JudgeUndelete is [Expected.Judge] for an undelete: only a soft-deleted stream can be undeleted, whatever was expected of an
// active one. An absent stream is judged as by [Expected.JudgeDelete].
func (e Expected) JudgeUndelete(stream string, s State) error {
	if s.Exists && !s.Deleted {
		return &StreamError{Stream: stream, Err: ErrStreamNotDeleted}
	}
	return e.JudgeDelete(stream, s, HardDelete)
}
