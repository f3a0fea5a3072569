package partition

import "time"

// Verdict is what a process does about a projection after another look at it.
type Verdict int

const (
	// Same says that nothing has changed.
	Same Verdict = iota
	// Renewed says that the projection has other partitions: stop all and begin anew.
	Renewed
	// Deleted says that the projection was deleted, even if there is another one of its name.
	Deleted
	// Missing says that a partition of the current generation is not in the database.
	Missing
)

// Roster is the generation of a projection that a process runs.
//
//	| state                 | event                     | then    | out     |
//	|-----------------------|---------------------------|---------|---------|
//	| at g                  | Seen g                    | at g    | Same    |
//	| at g, Lost g          | Seen g                    | same    | Missing |
//	| at g, whatever Lost   | Seen another generation h | at h    | Renewed |
//	| at g                  | Seen, created since       | same    | Deleted |
//	| at g                  | Lost h                    | at g, h | -       |
//
// A partition that is not found may only mean that there is a new generation, so the next Seen decides.
type Roster struct {
	created    time.Time
	generation int64
	lost       int64 // the generation of which a partition was not found, or 0, which is none
}

// NewRoster returns the roster of a projection that was created at that time.
func NewRoster(created time.Time, generation int64) Roster {
	return Roster{created: created, generation: generation}
}

// Seen notes the projection as it is now.
func (r *Roster) Seen(created time.Time, generation int64) Verdict {
	switch {
	case !created.Equal(r.created):
		return Deleted
	case generation != r.generation:
		r.generation = generation
		return Renewed
	case generation == r.lost:
		return Missing
	}
	return Same
}

// Lost notes that a partition of a generation was not found.
func (r *Roster) Lost(generation int64) { r.lost = generation }
