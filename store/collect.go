package store

import "iter"

// Collect reads a sequence to its end and returns its events, as of [Store.Stream], [Store.All] or [Store.Correlation]. If the
// sequence ends with an error, Collect returns the error and the events before it. Bound the sequence by [ReadOptions].Limit: all
// events are in memory together.
func Collect(seq iter.Seq2[Recorded, error]) ([]Recorded, error) {
	var events []Recorded
	for e, err := range seq {
		if err != nil {
			return events, err
		}
		events = append(events, e)
	}
	return events, nil
}
