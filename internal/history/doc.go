// Package history holds what the users of a store did and saw, and checks it against what the store promises: P1 to P5
// of the package store.
//
// A [History] is made of writes with their outcomes and of pages of all events as readers got them, both between two
// looks at a clock, and of what the store holds in the end. The data of each event is its identity: a string that no other
// event has. The clock is a number that only grows and that all processes share; two writes are in order if one had
// ended before the other began.
//
//	var r history.Recorder
//	r.Wrote(history.Write{...})             // from any goroutine
//	reader := history.Reader{...}           // pages forward, each page recorded
//	h := r.History()
//	err := h.ReadFinal(ctx, es)             // once all is quiet
//	violations := h.Check()
package history
