package intake

// Seen identifies an event that was read: its number, and its id. The zero value stands for none.
type Seen struct {
	Number int64
	ID     [16]byte
}

// IsZero reports whether s stands for no event.
func (s Seen) IsZero() bool { return s.ID == [16]byte{} }

// Proof holds the last event that a subscription has seen, and whether that is known to be in its place: after a failover to a
// standby that lagged, another event may have its number. The zero value has seen none.
//
//	| state    | event                                     | next state                                |
//	|----------|-------------------------------------------|-------------------------------------------|
//	| any      | Begin with what an earlier lease has read | unproven                                  |
//	| any      | Begin, Forget                             | proven                                    |
//	| unproven | Prove: the database has the event         | proven                                    |
//	| any      | Doubt: the feed has found a loss          | doubted                                   |
//	| doubted  | Recall                                    | not doubted; to be asked about            |
//	| any      | Follow: the event is there, or unknown    | the last event of the page is seen        |
//	| any      | Follow: another event is there            | the same; the subscription ends           |
type Proof struct {
	seen     Seen
	unproven bool // the event that the lease came with may not be in its place
	doubted  bool // the primary may not have it; with a replica only
}

// Begin notes the event that came with the acquired lease. read reports whether a subscriber has read that far.
func (p *Proof) Begin(seen Seen, read bool) { *p = Proof{seen: seen, unproven: read} }

// Forget forgets what was seen: another stream has taken the name.
func (p *Proof) Forget() { p.seen, p.unproven = Seen{}, false }

// Seen returns the last event that was seen.
func (p *Proof) Seen() Seen { return p.seen }

// Follow notes that a page was read that ends with the event last. at is the event that has the number of the one seen, zero if
// the page does not show that. Follow reports whether the page follows what was seen; if not, nothing has changed.
func (p *Proof) Follow(at, last Seen) bool {
	if !p.seen.IsZero() && !at.IsZero() && at.Number == p.seen.Number && at.ID != p.seen.ID {
		return false
	}
	if last.Number > p.seen.Number {
		p.seen = last
	}
	return true
}

// Unproven reports whether the event that the lease came with is still to be proven.
func (p *Proof) Unproven() bool { return p.unproven }

// Prove notes that the database has that event.
func (p *Proof) Prove() { p.unproven = false }

// Doubt notes that the primary may not have what was seen.
func (p *Proof) Doubt() { p.doubted = true }

// Recall returns what the primary is to be asked about. It may be doubted again meanwhile.
func (p *Proof) Recall() (seen Seen, ok bool) {
	ok = p.doubted && !p.seen.IsZero()
	p.doubted = false
	return p.seen, ok
}
