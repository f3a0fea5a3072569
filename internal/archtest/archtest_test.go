package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestModule(t *testing.T) {
	t.Parallel()
	g := load(t)
	for _, path := range slices.Concat([]string{"./store", "./serializer", "./conformance", "./migrate", "./backend/postgres/pgtest", "./store/storetest"}, telemetry, relays, backends, slices.Collect(maps.Keys(codecs))) {
		assert.NotNil(t, g[path], "%s: the rules name a package that doesn't exist", path)
	}
	assert.Empty(t, strings.Join(violations(g), "\n"))
}

// good is a graph that breaks no rule, small but with every kind of package.
var good = graph{
	"./store":                               {"context", "database/sql", "github.com/google/uuid", "./store/internal/queue"},
	"./store/internal/queue":                {"errors", "math/bits", "time"},
	"./store/internal/life":                 {"./store/internal/queue"},
	"./store/telemetry":                     {"sync", "./store", "github.com/google/uuid", "go.opentelemetry.io/otel/trace"},
	"./store/relay":                         {"context", "./store", "github.com/google/uuid", "github.com/ThreeDotsLabs/watermill/message"},
	"./store/health":                        {"net/http", "./store"},
	"./store/storetest":                     {"testing", "./store/aggregate", "./backend/sqlite", "./migrate", "modernc.org/sqlite"},
	"./serializer":                          {"encoding/json", "./store"},
	"./serializer/msgpack":                  {"bytes", "./serializer", "github.com/vmihailenco/msgpack/v5"},
	"./serializer/protobuf":                 {"./serializer", "google.golang.org/protobuf/proto"},
	"./serializer/zstd":                     {"./serializer", "./store", "github.com/klauspost/compress/zstd"},
	"./backend/internal/sqlerr":             {"errors", "./store"},
	"./backend/memory":                      {"sync", "./store"},
	"./backend/postgres":                    {"./store", "./backend/internal/sqlerr", "embed"},
	"./backend/postgres/pgxnotify":          {"./backend/postgres", "github.com/jackc/pgx/v5"},
	"./backend/postgres/pgxtx":              {"./store", "github.com/jackc/pgx/v5/stdlib"},
	"./backend/sqlite":                      {"./store", "./backend/internal/sqlerr"},
	"./migrate":                             {"io/fs", "github.com/golang-migrate/migrate/v4"},
	"./conformance":                         {"testing", "./store", "github.com/stretchr/testify/require"},
	"./conformance/model":                   {"./conformance", "./backend/memory", "pgregory.net/rapid"},
	"./internal/pgserver":                   {"testing", "github.com/jackc/pgx/v5"},
	"./internal/pgtest":                     {"testing", "./internal/pgserver", "github.com/lib/pq", "github.com/jackc/pgx/v5/stdlib"},
	"./backend/postgres/pgtest":             {"testing", "./internal/pgserver", "./backend/postgres", "./migrate"},
	"./cmd/eventstore":                      {"flag", "./backend/postgres", "./migrate", "github.com/lib/pq"},
	"./examples/quickstart":                 {"./backend/sqlite", "modernc.org/sqlite"},
	"github.com/google/uuid":                {"crypto/rand"},
	"github.com/golang-migrate/migrate/v4":  {"github.com/hashicorp/go-multierror"},
	"github.com/stretchr/testify/require":   {"testing"},
	"golang.org/x/sync/errgroup":            {"context"},
	"example.com/seemingly/harmless":        {"example.com/deeper"},
	"example.com/deeper":                    {"github.com/lib/pq"},
	"golang.org/x/sync/errgroup/harmful/in": {"flag"},
}

func TestGoodGraph(t *testing.T) {
	t.Parallel()
	assert.Empty(t, violations(good))
}

// TestRulesCanFail adds one bad import at a time to the good graph.
func TestRulesCanFail(t *testing.T) {
	t.Parallel()
	const indirect = "a program that imports it would link that, if indirectly"
	for _, bad := range []struct{ from, to, want string }{
		{"./store", "testing", "only packages for tests import test libraries"},
		{"./store", "testing", indirect},
		{"./store", "golang.org/x/sync/errgroup", "store imports the standard library, a uuid library and a back-off library only"},
		{"./store", "./serializer", "store imports the standard library"},
		{"./store", "go.opentelemetry.io/otel", "store imports the standard library"},
		{"./store", "go.opentelemetry.io/otel/trace", "./store imports go.opentelemetry.io/otel/trace: " + indirect},
		{"./store", "./store/telemetry", "only programs and tests import store/telemetry"},
		{"./backend/memory", "./store/telemetry", "./backend/memory imports ./store/telemetry: " + indirect},
		{"./backend/memory", "./store/telemetry", "./backend/memory imports go.opentelemetry.io/otel/trace: " + indirect},
		{"./store/aggregate", "go.opentelemetry.io/otel/attribute", "only store/telemetry, programs and tests import OpenTelemetry"},
		{"./backend/postgres", "go.opentelemetry.io/otel/trace", "only store/telemetry, programs and tests import OpenTelemetry"},
		{"./migrate", "./store/telemetry", "only programs and tests import store/telemetry"},
		{"./store/telemetry", "go.opentelemetry.io/otel/sdk/trace", "store/telemetry imports the standard library, store"},
		{"./store/telemetry", "./backend/memory", "store/telemetry imports the standard library, store"},
		{"./store/telemetry", "github.com/lib/pq", "store/telemetry imports the standard library, store"},
		{"./store/telemetry", "testing", "only packages for tests import test libraries"},
		{"./store/relay", "./backend/memory", "store/relay imports the standard library, store"},
		{"./store/relay", "github.com/ThreeDotsLabs/watermill/components/cqrs", "store/relay imports the standard library, store"},
		{"./store/relay", "testing", "only packages for tests import test libraries"},
		{"./store", "./store/relay", "./store imports ./store/relay: " + indirect},
		{"./store/health", "./store/relay", "only programs and tests import store/relay"},
		{"./store/health", "github.com/ThreeDotsLabs/watermill/message", "only store/relay, programs and tests import watermill"},
		{"./store/health", "github.com/lib/pq", "only programs, tests and opt-in leaves import drivers"},
		{"./store/health", "./store/storetest", "only packages for tests import packages for tests"},
		{"./store", "./backend/memory", "store imports the standard library"},
		{"./store/internal/queue", "./store", "a machine below store/internal imports only packages that compute"},
		{"./store/internal/queue", "context", "a machine below store/internal imports only packages that compute"},
		{"./store/internal/life", "io", "a machine below store/internal imports only packages that compute"},
		{"./store/internal/queue", "./store/internal/life", "of the machines below store/internal only life imports others"},
		{"./store/internal/tail", "./store/internal/queue", "of the machines below store/internal only life imports others"},
		{"./store/internal/queue", "sync", "a machine below store/internal imports only packages that compute"},
		{"./store/internal/queue", "github.com/google/uuid", "a machine below store/internal imports only packages that compute"},
		{"./cmd/eventstore", "./store/internal/queue", "only store imports its machines"},
		{"./store", "github.com/jackc/pgx/v5/pgconn", "only programs, tests and opt-in leaves import drivers"},
		{"./backend/postgres", "github.com/jackc/pgx/v5/pgtype", "only programs, tests and opt-in leaves import drivers"},
		{"./backend/postgres", "github.com/lib/pq", "only programs, tests and opt-in leaves import drivers"},
		{"./backend/sqlite", "modernc.org/sqlite", "only programs, tests and opt-in leaves import drivers"},
		{"./backend/sqlite", "github.com/mattn/go-sqlite3", "only programs, tests and opt-in leaves import drivers"},
		{"./migrate", "github.com/lib/pq", "only programs, tests and opt-in leaves import drivers"},
		{"./conformance", "github.com/lib/pq", "conformance imports the standard library, store"},
		{"./backend/sqlite", "./backend/memory", "nobody imports a backend but"},
		{"./backend/internal/sqlerr", "./backend/sqlite", "nobody imports a backend but"},
		{"./serializer", "./backend/memory", "nobody imports a backend but"},
		{"./migrate", "./backend/postgres", "nobody imports a backend but"},
		{"./migrate", "./store", "migrate imports nothing of ours"},
		{"./serializer", "./migrate", "a serializer imports of ours only store"},
		{"./backend/postgres", "./migrate", "a backend imports of ours only store"},
		{"./backend/memory", "./serializer", "a backend imports of ours only store"},
		{"./migrate", "./cmd/eventstore", "nobody imports a program"},
		{"./backend/memory", "./internal/pgtest", "only packages for tests import packages for tests"},
		{"./backend/memory", "./conformance", "only packages for tests import packages for tests"},
		{"./migrate", "github.com/stretchr/testify/assert", "only packages for tests import test libraries"},
		{"./conformance", "./backend/memory", "conformance imports the standard library, store"},
		{"./conformance", "pgregory.net/rapid", "conformance imports the standard library, store"},
		{"./conformance/model", "./backend/postgres", "conformance imports the standard library, store"},
		{"./serializer", "./serializer/zstd", "only programs and tests import a serializer that has a library"},
		{"./serializer", "./serializer/zstd", "./serializer imports github.com/klauspost/compress/zstd: " + indirect},
		{"./serializer", "./serializer/msgpack", "./serializer imports ./serializer/msgpack: " + indirect},
		{"./serializer/zstd", "./serializer/msgpack", "only programs and tests import a serializer that has a library"},
		{"./store", "google.golang.org/protobuf/proto", "only the serializer for it imports a library that encodes or compresses"},
		{"./migrate", "github.com/klauspost/compress/gzip", "only the serializer for it imports a library that encodes or compresses"},
		{"./serializer/zstd", "github.com/vmihailenco/msgpack/v5", "only the serializer for it imports a library that encodes or compresses"},
		{"./serializer/zstd", "example.com/deeper", "a serializer with a library imports that, store and serializer only"},
		{"./backend/memory", "flag", indirect},
		{"./backend/postgres", "github.com/spf13/cobra", indirect},
		{"./backend/postgres", "example.com/seemingly/harmless", "./backend/postgres imports github.com/lib/pq: " + indirect},
		{"./backend/sqlite", "golang.org/x/sync/errgroup/harmful/in", "./backend/sqlite imports flag: " + indirect},
		{"./serializer", "go.uber.org/goleak", indirect},
	} {
		g := maps.Clone(good)
		g[bad.from] = append([]string{bad.to}, g[bad.from]...)
		assert.Contains(t, strings.Join(violations(g), "\n"), bad.want, "%s imports %s", bad.from, bad.to)
	}
}

// TestEveryRuleWasSeenToFail keeps TestRulesCanFail whole.
func TestEveryRuleWasSeenToFail(t *testing.T) {
	t.Parallel()
	bad := graph{
		"./store":            {"github.com/lib/pq", "testing", "./store/telemetry"},
		"./store/internal/q": {"context", "./store/internal/r"},
		"./store/telemetry":  {"./serializer"},
		"./store/relay":      {"./serializer"},
		"./store/health":     {"./store/relay", "github.com/ThreeDotsLabs/watermill/message"},
		"./backend/memory":   {"./backend/sqlite", "./migrate", "./conformance"},
		"./serializer":       {"./migrate", "./serializer/zstd"},
		"./serializer/zstd":  {"google.golang.org/protobuf/proto"},
		"./migrate":          {"./store", "./cmd/eventstore", "./store/internal/q"},
		"./conformance":      {"github.com/lib/pq"},
		"./backend/postgres": {"flag", "go.opentelemetry.io/otel"},
	}
	all := strings.Join(violations(bad), "\n")
	for _, r := range rules {
		assert.Contains(t, all, r.says)
	}
}

// load asks the go command for the module's packages and all they import.
func load(t *testing.T) graph {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	watch(t, root)
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Imports", "./...")
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	g := graph{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return g
		}
		require.NoError(t, err)
		for i, path := range p.Imports {
			p.Imports[i] = relative(path)
		}
		g[relative(p.ImportPath)] = p.Imports
	}
}

// relative is the path as the rules write it.
func relative(path string) string {
	if rest, ours := strings.CutPrefix(path, "github.com/eventstore-go/eventstore/"); ours {
		return "./" + rest
	}
	return path
}

// watch opens the module's folders, so that go test, which keeps the result of a test until a file it opened changes,
// sees a change in any of them.
func watch(t *testing.T, root string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		return err
	}))
}
