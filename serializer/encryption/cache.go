package encryption

import (
	"sync"
	"time"
)

// mostSubjects is how many subjects' keys are kept in memory at most.
const mostSubjects = 10_000

// cache keeps keys in memory for a while.
type cache struct {
	keep time.Duration

	mu       sync.Mutex
	subjects map[string]*cached
	drops    int // counts calls of drop
}

// cached are keys of a subject. They all go at once, so that a key is never kept longer than it may.
type cached struct {
	until   time.Time
	current int64 // 0 if it is not known
	keys    map[int64]known
}

// known is a key, or that it was deleted.
type known struct {
	Key
	err error
}

// get returns a key, the current one for id 0, and what put is to be called with when it is not there.
func (c *cache) get(subject string, id int64) (key known, ok bool, drops int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry := c.subjects[subject]
	if entry == nil || !time.Now().Before(entry.until) {
		return known{}, false, c.drops
	}
	if id == 0 {
		id = entry.current
	}
	key, ok = entry.keys[id]
	return key, ok, c.drops
}

// put keeps a key that was asked for at the time began, unless something was dropped since get was called: it could be what
// was asked for before.
func (c *cache) put(subject string, key known, current bool, drops int, began time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.drops != drops || c.keep <= 0 {
		return
	}
	entry := c.subjects[subject]
	if entry == nil || !time.Now().Before(entry.until) {
		if len(c.subjects) >= mostSubjects {
			clear(c.subjects)
		}
		entry = &cached{until: began.Add(c.keep), keys: map[int64]known{}}
		c.subjects[subject] = entry
	}
	entry.keys[key.ID] = key
	if current {
		entry.current = key.ID
	}
}

// drop forgets what is kept of a subject.
func (c *cache) drop(subject string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.subjects, subject)
	c.drops++
}
