package pgserver

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// folders are where distributions put the server's binaries, which Debian for one keeps out of PATH.
var folders = []string{
	"/usr/lib/postgresql/*/bin",            // Debian, Ubuntu
	"/usr/pgsql-*/bin",                     // Fedora, RHEL
	"/opt/homebrew/opt/postgresql@*/bin",   // macOS, Apple silicon
	"/usr/local/opt/postgresql@*/bin",      // macOS, Intel
	"/Applications/Postgres.app/*/*/*/bin", // macOS, Postgres.app
	"/usr/local/pgsql/bin",
}

// EnvBin names the variable that holds the folder of the server's binaries. No other folder is looked at if it is set.
const EnvBin = "EVENTSTORE_TEST_POSTGRES_BIN"

// findBinaries returns the folder that holds initdb, postgres and pg_ctl, or "".
func findBinaries() string {
	if given := os.Getenv(EnvBin); given != "" {
		if complete(given) {
			return given
		}
		return ""
	}
	var found []string
	for _, pattern := range folders {
		matches, _ := filepath.Glob(pattern) // fails on a malformed pattern only
		found = append(found, matches...)
	}
	slices.SortStableFunc(found, func(a, b string) int { return version(b) - version(a) })
	if inPath, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(inPath); err == nil {
			found = slices.Insert(found, 0, filepath.Dir(real))
		}
	}
	for _, dir := range found {
		if complete(dir) {
			return dir
		}
	}
	return ""
}

var number = regexp.MustCompile(`\d+`)

// version is the server's major version, as far as the folder's name tells: its first number.
func version(dir string) int {
	n, _ := strconv.Atoi(number.FindString(dir))
	return n
}

// complete reports whether dir holds what a throwaway cluster needs: a whole server and not a client's tools.
func complete(dir string) bool { return holds(dir, "initdb", "postgres", "pg_ctl") }

func holds(dir string, names ...string) bool {
	for _, name := range names {
		if _, err := exec.LookPath(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}
