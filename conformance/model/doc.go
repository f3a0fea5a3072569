// Package model compares a backend with the one in memory, through random histories.
//
//	func TestModel(t *testing.T) { model.Run(t, newStorage) }
//
// Each history of [Run] appends, retries, links, deletes and reads, on both backends with the same arguments, and expects the
// same results and the same kinds of errors. A history that fails is made as short as it can be and printed, with a
// seed that reproduces it: -rapid.seed. -rapid.checks and -rapid.steps say how many histories there are, and how long.
//
// [RunSubscriptions] does the same for subscribers, and compares them with a list of what is open.
package model
