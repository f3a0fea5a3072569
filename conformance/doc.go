// Package conformance is the specification of a backend, as tests: what every implementation of [store.Storage] owes.
//
//	func TestConformance(t *testing.T) {
//		conformance.Run(t, conformance.Harness{
//			Name: "memory",
//			New:  func(testing.TB) store.Storage { return memory.New() },
//		})
//	}
//
// INDEX.md lists the cases by promise and by topic: read it before you write a backend.
//
// Each case has a name, a reason that is printed when it fails, a deadline, and an empty store of its own. A case that
// has many answers to check, such as a matrix of expected versions, has them as subcases, each counted for itself.
//
// # Transactions
//
// Over a backend that implements [store.Transactional] the suite runs twice: once as it is, and once, under in-tx/, with
// the calls of each case inside a caller's transaction, through [store.Transactional.WithTx]. There a case runs in one
// transaction, which is committed before the global order is read and at the end; cases with several callers give each
// call a transaction of its own. Cases under tx/ hold transactions of their own and run once.
//
// # Excuses
//
// A backend is excused from a case only by name and with a reason, and the case is then shown as skipped. Nothing else
// is left out: cases for transactions need a backend that has them, and one that has none runs tx/none in their place.
//
// # Faults
//
// The suite is tested by breaking one promise at a time: over memory, and, for transactions, over SQLite and PostgreSQL.
// The cases that turn red for each fault stand in testdata, and every case is there at least once.
package conformance
