SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

TIMEOUT  ?= 40m

# SQLite in Go is C translated. What the race detector says of its pointers is known, and watching the engine itself (a package that
# instantiates nothing generic, so that nobody else gets its copy of a function) would take half the time.
RACE     := -race -gcflags=modernc.org/sqlite/...=-d=checkptr=0 -gcflags=modernc.org/libc/...=-d=checkptr=0 -gcflags=modernc.org/memory=-d=checkptr=0 -gcflags=modernc.org/sqlite/lib=-race=false
# A program that the race detector watches waits a second before it ends: some tests run hundreds of programs.
export GORACE := atexit_sleep_ms=20
# These run without the race detector: the suites with faults, each of which must be noticed, which take seven times as long with it,
# and most of which wait (what they run is run with it over the backends); what measures the heap, which would measure the detector's;
# and the scripts of the command line, which start hundreds of programs (its packages have tests of their own).
UNRACED  := Faults|TestLargeEvents
PROGRAMS := ./cmd/eventstore
FAULTS   := go test -timeout $(TIMEOUT) -parallel 4 -run '$(UNRACED)' ./conformance/... ./internal/heap
SCRIPTS  := go test -timeout $(TIMEOUT) $(PROGRAMS)
RACED    := go test $(RACE) -skip '$(UNRACED)' -timeout $(TIMEOUT) $$(go list ./... | grep -v '/cmd/eventstore$$')
LINT     := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
BENCHSTAT := go run golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
VERSIONS ?= 14 15 16 17 18
FUZZTIME ?= 30s
BENCH    ?= .
BENCHTIME ?= 1s
ROUNDS   ?= 5

.PHONY: help
help: ## list the targets
	@sed -nE 's/^([a-z/]+):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 19

.PHONY: test
test: postgres pgbouncer cc ## run what follows from state, with the race detector, on a real PostgreSQL, and count it; takes minutes
	{ $(RACED) -json; $(SCRIPTS) -json; $(FAULTS) -json; } | go run ./internal/testreport

.PHONY: test/long
test/long: ## run all tests: also histories, chaos, all cases over all faults, more ways to connect, large tables; takes an hour
	EVENTSTORE_TEST_LONG=1 $(MAKE) test TIMEOUT=3h

.PHONY: test/histories
test/histories: postgres ## let random histories, chaos and a bank run longer, with the seeds that they print; takes ten minutes
	EVENTSTORE_TEST_LONG=1 go test -count=1 -timeout 30m -json ./internal/history/... | \
		go run ./internal/testreport -want TestRandomHistory,TestChaos,TestBank,TestBroken

.PHONY: test/faults
test/faults: ## run all cases of the suite over each fault; takes five minutes
	EVENTSTORE_TEST_LONG=1 $(FAULTS) -count=1 -json | go run ./internal/testreport -want TestFaults,TestTxFaults,TestSubFaults,TestProjectFaults

.PHONY: test/race
test/race: postgres pgbouncer cc ## the same, in go test's own words
	$(RACED)
	$(SCRIPTS)
	$(FAULTS)

.PHONY: test/short
test/short: ## run the quick tests, without the race detector, on what is installed
	go test -short -timeout 5m ./...

.PHONY: test/matrix
test/matrix: pgbouncer test/poolers ## run the tests that use PostgreSQL on each version, through poolers, SQLite's suite with other drivers, and count them (VERSIONS="14 15 16 17 18")
	scripts/test-sqlite-drivers
	scripts/test-matrix $(VERSIONS)

.PHONY: test/poolers
test/poolers: ## run the suite through a pgbouncer in transaction mode
	scripts/test-poolers

.PHONY: test/matrix/short
test/matrix/short: ## the suite with pgx, plans and the sequencer on the oldest and the newest version
	scripts/test-matrix -short $(sort $(firstword $(VERSIONS)) $(lastword $(VERSIONS)))

.PHONY: test/standby
test/standby: postgres cc ## run the whole suite with reads from a streaming standby, and from the primary itself
	EVENTSTORE_TEST_STANDBY=1 go test -timeout 45m -parallel 4 -run TestConformanceOfReplica ./backend/postgres

.PHONY: test/transactions
test/transactions: postgres ## build and run the examples of transactions with gorm, bun, sqlx, sqlc and pgx, modules of their own
	@for dir in examples/transactions/*/; do echo "== $$dir"; (cd "$$dir" && go mod tidy -diff && go vet ./... && go test -count=1 ./...); done

.PHONY: test/relay
test/relay: postgres ## kill relays to a NATS JetStream server and see that each event arrives once and in order; Prometheus; modules of their own
	@for dir in examples/relay examples/prometheus; do echo "== $$dir"; (cd "$$dir" && go mod tidy -diff && go vet ./... && go test -count=1 -v ./...); done

.PHONY: test/ha
test/ha: patroni ## let real clusters fail over, be upgraded and be restored, under load; takes ten minutes
	EVENTSTORE_TEST_HA=1 go test -count=1 -timeout 40m -parallel 2 -json ./internal/hatest | \
		go run ./internal/testreport -want TestSynchronous,TestWithoutFencing,TestLaggingFailover,TestUpgrade,TestDumpToTheNewest,TestPointInTime

.PHONY: test/dqlite
test/dqlite: ## run the suite on three nodes of dqlite, a replicated SQLite, and kill their leader under load; takes six minutes
	scripts/test-dqlite

.PHONY: lint
lint: ## check format, go vet and golangci-lint
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt -w is due for:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	$(LINT) run ./...

.PHONY: bench
bench: postgres ## compare with raw SQL and with a counter row, in rounds (BENCH=regexp BENCHTIME=1s ROUNDS=5)
	@mkdir -p build && rm -f build/bench.txt
	@for round in $$(seq $(ROUNDS)); do \
		go test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -timeout 3h ./internal/benchmark | tee -a build/bench.txt; \
	done
	$(BENCHSTAT) -col /store -filter '.unit:events/s OR .unit:p50-ms' build/bench.txt

.PHONY: bench/growth
bench/growth: postgres ## the same from ten thousand to ten million events; takes an hour and 30 GB (BENCHTIME=1s ROUNDS=5)
	go test -run '^$$' -bench Growth -benchtime $(BENCHTIME) -timeout 6h ./internal/benchmark -args -upto 10000000 -rounds $(ROUNDS)

.PHONY: bench/peers
bench/peers: postgres cc ## compare with other event stores (a module of its own, outside the checks), in rounds (BENCHTIME=1s ROUNDS=5)
	cd bench && go test -count=1 -timeout 3h -v -run Compare . -rounds $(ROUNDS) -time $(BENCHTIME) -out ../docs

.PHONY: fuzz
fuzz: ## run every fuzz test for a while (FUZZTIME=30s, or 10000x)
	@grep -rHoE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' . | while IFS=: read -r file name; do \
		name=$${name#func }; echo "$$file $$name"; \
		go test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" </dev/null; \
	done

.PHONY: tidy
tidy: ## put go.mod, go.sum and the format of all files in order
	go mod tidy
	gofmt -w .

.PHONY: doc
doc: ## show the documentation in a browser
	go doc -http ./store

.PHONY: postgres
postgres: # a PostgreSQL for the tests
	@scripts/ensure-postgres

.PHONY: patroni
patroni: # Patroni and etcd for the tests of high availability
	@scripts/ensure-patroni

.PHONY: cc
cc: # a C compiler for the race detector
	@scripts/ensure-cc

.PHONY: pgbouncer
pgbouncer: # a pooler for the tests
	@scripts/ensure-pgbouncer
