//go:build !unix

package pgserver

import (
	"errors"
	"os"
)

// Throwaway clusters need Unix processes. Elsewhere tests run on the server that EVENTSTORE_TEST_POSTGRES names.
var errUnix = errors.New("pgtest: throwaway clusters need a Unix system: set " + EnvURL)

func giveAway(...string) error                                       { return errUnix }
func tempDir() string                                                { return os.TempDir() }
func run(string, string, ...string) error                            { return errUnix }
func spawn(string, string, *os.File, string, ...string) (int, error) { return 0, errUnix }
func exited(int) bool                                                { return true }
func interrupt(int) error                                            { return errUnix }
func killTree(int) error                                             { return errUnix }
