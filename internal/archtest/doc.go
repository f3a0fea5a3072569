// Package archtest holds the architecture of the module as tests:
//
//   - rules.go: which package may import which.
//   - figures.go: how much the files of package store depend on each other, and how many fields its largest structs have. Each figure has a
//     ceiling, which only falls. The type checker counts.
//   - rooms.go: the layers of package store. Words and the contract with backends name nothing above them; the arrows from the engine up to the
//     methods of Store have a ceiling.
//   - machines.go: the machines below store/internal, and their tests, start no goroutine, use no channel, and ask no clock.
//   - grouping_test.go: the same of the machine of group commit.
//   - api.go: the exported names and signatures of the packages that users import, compared with testdata/api.
//   - siblings_test.go: backend/postgres and backend/sqlite keep the same files in the same order.
//   - backend_docs_test.go: the comment of a backend opens with its constructor, options and optional interfaces.
//   - console_test.go: the operations of cmd/eventstore have no word of a command line.
//   - lengths_test.go: how long a Go file of the backends and the command line may be.
//   - paths_test.go: the files that the documents name exist.
//
// Each rule and each count is also tried on a bad example, which it must refuse.
package archtest
