module github.com/eventstore-go/eventstore/internal/dqlite

go 1.26.0

require (
	github.com/canonical/go-dqlite v1.11.5
	github.com/eventstore-go/eventstore v0.0.0
	github.com/google/uuid v1.6.0
	github.com/stretchr/testify v1.12.1
)

require (
	github.com/Rican7/retry v0.3.0 // indirect
	github.com/cenkalti/backoff/v5 v5.0.3 // indirect
	github.com/ghodss/yaml v1.0.0 // indirect
	github.com/golang-migrate/migrate/v4 v4.20.1 // indirect
	github.com/google/renameio v1.0.1 // indirect
	github.com/mattn/go-sqlite3 v1.14.22 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	gopkg.in/yaml.v2 v2.4.0 // indirect
)

replace github.com/eventstore-go/eventstore => ../..

// Where Debian's package golang-github-canonical-go-dqlite-dev puts the source: scripts/ensure-dqlite installs it.
replace github.com/canonical/go-dqlite => /usr/share/gocode/src/github.com/canonical/go-dqlite
