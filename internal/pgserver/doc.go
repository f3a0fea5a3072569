// Package pgserver starts and stops real PostgreSQL servers for tests. Package backend/postgres/pgtest is its public face; package
// internal/pgtest adds what the tests of this repository need, such as both drivers.
//
// The server is the one at the URL in EVENTSTORE_TEST_POSTGRES (its user must be a superuser), else a throwaway
// cluster made from binaries found on the machine: those of the folder in EVENTSTORE_TEST_POSTGRES_BIN, else those of
// initdb in PATH, else the newest of the usual folders. With neither, a test is skipped and the reason names what to install; where
// the variable CI is set, it fails instead. If EVENTSTORE_TEST_POSTGRES_VERSION is set, a server of another major version
// fails the test. The version is printed once per process.
//
// A throwaway cluster belongs to the test binary. It ends with it however that ends: a shell holds the reading end of a
// pipe from the binary, and when that closes it stops the server and removes its files. Nothing need be called for
// that, and no goroutine runs.
//
// Clusters run without fsync unless a test asks for it: they survive the death of every process, not of the machine.
// They sort text as a dictionary does where the server can, since most databases in use do, and they live in a time
// zone that is not UTC: what holds only for the C collation or for UTC fails here.
//
// The package registers no database/sql driver, so that a test may register its own under any name.
package pgserver
