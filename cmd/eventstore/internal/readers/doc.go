// Package readers shows subscriptions and projections to operators, and changes them: what is parked, replays, resets, deletions. It
// returns values, whose JSON form is an interface of the program. How they are printed is the caller's.
package readers
