// Package delivery holds what the processes of a persistent subscription were sent and acknowledged, and checks it
// against what the store promises: P7 of the package store.
//
// A [History] is made of the appends with their outcomes, the journal of each process that consumed, the versions that
// the row of each subscription went through in the database, and what the store holds in the end. Processes write their
// journals line by line, each line before or after the call that it tells of, so that a process that is killed leaves
// behind what it did. Order within a journal and order of row versions are all that the checker goes by, and the
// database's clock: no two processes' clocks are compared.
//
//	j, err := delivery.Create(path)          // in each process
//	err = j.Add(delivery.Line{...})
//	lines, err := delivery.Read[delivery.Line](path)
//	violations := h.Check()                  // once all is quiet
//
// Subscriptions are on all events, none of which may be hard deleted, and leave none out.
package delivery
