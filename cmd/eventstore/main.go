// Eventstore sets up, shows, moves and verifies stores of events. See docs/cli.md.
package main

import (
	"os"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
