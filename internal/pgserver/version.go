package pgserver

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
)

// EnvVersion names the variable that holds the major version which every server must have, such as 14. Tests fail on another one.
const EnvVersion = "EVENTSTORE_TEST_POSTGRES_VERSION"

// printed holds the versions that this process has printed.
var printed sync.Map

// checkVersion asks the server at url for its version, prints it once per process, and fails if [EnvVersion] wants another one.
// The line starts with "pgtest: PostgreSQL": internal/testreport counts it.
func checkVersion(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	version, err := value(ctx, url, `show server_version`)
	if err != nil {
		return fmt.Errorf("pgtest: ask the server for its version: %w", err)
	}
	number, _, _ := strings.Cut(version, " ") // behind it stands whose package it is
	if _, before := printed.LoadOrStore(number, true); !before {
		fmt.Fprintln(os.Stderr, "pgtest: PostgreSQL", number)
	}
	major, _, _ := strings.Cut(number, ".")
	if want := os.Getenv(EnvVersion); want != "" && want != major {
		return fmt.Errorf("pgtest: the server is PostgreSQL %s, but %s is %s", number, EnvVersion, want)
	}
	return nil
}

// checkGiven checks the server at the URL in [EnvURL], once.
var checkGiven = sync.OnceValue(func() error { return checkVersion(os.Getenv(EnvURL)) })
