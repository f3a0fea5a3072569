package archtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// graph maps the path of every package, ours and others, to what it imports. Test files don't count. Paths of this
// module are written as the go command takes them in its root: "./store".
type graph map[string][]string

// Each of these paths stands for itself and all that is below it.
var (
	drivers = []string{
		"github.com/lib/pq", "github.com/jackc/pgx", "modernc.org/sqlite", "github.com/mattn/go-sqlite3",
	}
	testLibraries = []string{
		"testing", "github.com/stretchr/testify", "pgregory.net/rapid", "go.uber.org/goleak",
	}
	// programs are free: nobody imports them.
	programs = []string{"./examples", "./cmd"}
	// forTests are packages that only tests import, and that may themselves import what tests may.
	forTests = []string{"./backend/postgres/pgtest", "./conformance", "./internal/archtest", "./internal/benchmark", "./internal/hatest", "./internal/heap", "./internal/history", "./internal/longtest", "./internal/notifytest", "./internal/pgserver", "./internal/pgtest", "./internal/tcpproxy", "./internal/testreport", "./store/storetest"}
	// driverLeaves are opt-in packages that can't do without a driver.
	driverLeaves = []string{"./backend/postgres/pgxnotify", "./backend/postgres/pgxtx", "./backend/postgres/pqnotify"}
	backends     = []string{"./backend/memory", "./backend/postgres", "./backend/sqlite"}
	// codecs are opt-in serializers, each with the one library that only it imports.
	codecs = map[string]string{
		"./serializer/msgpack":  "github.com/vmihailenco/msgpack",
		"./serializer/protobuf": "google.golang.org/protobuf",
		"./serializer/zstd":     "github.com/klauspost/compress",
	}
	// telemetry is the opt-in package that alone imports otel.
	telemetry = []string{"./store/telemetry"}
	otel      = []string{"go.opentelemetry.io"}
	// relays is the opt-in package that alone imports watermill.
	relays    = []string{"./store/relay"}
	watermill = []string{"github.com/ThreeDotsLabs/watermill"}
	// linkable is all that a program may link through store and a backend, beside the standard library.
	linkable = []string{
		"./store", "./serializer", "./backend", "./internal/queries",
		"github.com/google/uuid", "github.com/cenkalti/backoff", "golang.org/x/sync",
	}
	unlinkable = []string{"testing", "flag"}
	// machines only compute: they do no I/O, start no goroutine, and have no lock and no clock. Of package time they use no clock, see
	// impurities.
	machines = []string{"./store/internal"}
	computes = []string{"cmp", "errors", "fmt", "maps", "math", "slices", "strings", "time"}
	// life is the machine that puts the others together.
	life = []string{"./store/internal/life"}
)

// violations returns one line for each import that a rule forbids, sorted.
func violations(g graph) []string {
	var found []string
	report := func(from, to, rule string) {
		found = append(found, fmt.Sprintf("%s imports %s: %s", from, to, rule))
	}
	for from, imports := range g {
		if !own(from) {
			continue
		}
		for _, to := range imports {
			for _, rule := range rules {
				if (rule.of == nil || within(from, rule.of)) && !within(from, rule.except) && rule.forbids(from, to) {
					report(from, to, rule.says)
				}
			}
		}
	}
	for _, root := range append([]string{"./store", "./serializer"}, backends...) {
		for _, to := range closure(g, root) {
			_, leaf := codecs[to]
			if leaf || within(to, telemetry) || within(to, relays) || within(to, unlinkable) || !standard(to) && !within(to, linkable) {
				report(root, to, "a program that imports it would link that, if indirectly")
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// A rule is about one import from a package of ours.
type rule struct {
	says    string
	of      []string // the packages it binds, all if nil
	except  []string // and those it doesn't
	forbids func(from, to string) bool
}

var rules = []rule{
	{
		says:   "store imports the standard library, a uuid library and a back-off library only",
		of:     []string{"./store"},
		except: slices.Concat(telemetry, relays, forTests),
		forbids: func(_, to string) bool {
			return !standard(to) && !within(to, []string{"./store", "github.com/google/uuid", "github.com/cenkalti/backoff"})
		},
	},
	{
		says:    "a machine below store/internal imports only packages that compute",
		of:      machines,
		forbids: func(_, to string) bool { return !within(to, computes) && !within(to, machines) },
	},
	{
		says:    "of the machines below store/internal only life imports others",
		of:      machines,
		except:  life,
		forbids: func(from, to string) bool { return within(to, machines) && !within(to, []string{from}) },
	},
	{
		says:    "only store imports its machines",
		except:  append([]string{"./store"}, forTests...),
		forbids: func(_, to string) bool { return within(to, machines) },
	},
	{
		says: "store/telemetry imports the standard library, store, a uuid library and OpenTelemetry's API only",
		of:   telemetry,
		forbids: func(_, to string) bool {
			return !standard(to) && to != "./store" && !within(to, []string{"github.com/google/uuid", "go.opentelemetry.io/otel"}) ||
				within(to, []string{"go.opentelemetry.io/otel/sdk"})
		},
	},
	{
		says: "store/relay imports the standard library, store, a uuid library and watermill's messages only",
		of:   relays,
		forbids: func(_, to string) bool {
			return !standard(to) && to != "./store" && !within(to, []string{"github.com/google/uuid", "github.com/ThreeDotsLabs/watermill/message"})
		},
	},
	{
		says:    "only store/relay, programs and tests import watermill",
		except:  slices.Concat(programs, forTests, relays),
		forbids: func(_, to string) bool { return within(to, watermill) },
	},
	{
		says:    "only programs and tests import store/relay",
		except:  slices.Concat(programs, forTests, relays),
		forbids: func(_, to string) bool { return within(to, relays) },
	},
	{
		says:    "only store/telemetry, programs and tests import OpenTelemetry",
		except:  slices.Concat(programs, forTests, telemetry),
		forbids: func(_, to string) bool { return within(to, otel) },
	},
	{
		says:    "only programs and tests import store/telemetry",
		except:  slices.Concat(programs, forTests, telemetry),
		forbids: func(_, to string) bool { return within(to, telemetry) },
	},
	{
		says:    "only programs, tests and opt-in leaves import drivers",
		except:  slices.Concat(programs, forTests, driverLeaves),
		forbids: func(_, to string) bool { return within(to, drivers) },
	},
	{
		says:    "only packages for tests import test libraries",
		except:  slices.Concat(programs, forTests),
		forbids: func(_, to string) bool { return within(to, testLibraries) },
	},
	{
		says:   "nobody imports a backend but programs, tests and packages below it",
		except: slices.Concat(programs, forTests),
		forbids: func(from, to string) bool {
			return slices.ContainsFunc(backends, func(b string) bool {
				return within(to, []string{b}) && !within(from, []string{b})
			})
		},
	},
	{
		says:    "nobody imports a program",
		except:  programs,
		forbids: func(_, to string) bool { return within(to, programs) },
	},
	{
		says:    "only packages for tests import packages for tests",
		except:  slices.Concat(programs, forTests),
		forbids: func(_, to string) bool { return within(to, forTests) },
	},
	{
		says:   "a backend imports of ours only store and what backends share",
		of:     []string{"./backend"},
		except: forTests,
		forbids: func(from, to string) bool {
			return own(to) && !within(to, []string{"./store", "./backend", "./internal/queries"})
		},
	},
	{
		says:    "a serializer imports of ours only store",
		of:      []string{"./serializer"},
		forbids: func(_, to string) bool { return own(to) && !within(to, []string{"./store", "./serializer"}) },
	},
	{
		says:   "only programs and tests import a serializer that has a library",
		except: slices.Concat(programs, forTests),
		forbids: func(_, to string) bool {
			_, leaf := codecs[to]
			return leaf
		},
	},
	{
		says:   "only the serializer for it imports a library that encodes or compresses",
		except: slices.Concat(programs, forTests),
		forbids: func(from, to string) bool {
			for leaf, library := range codecs {
				if from != leaf && within(to, []string{library}) {
					return true
				}
			}
			return false
		},
	},
	{
		says: "a serializer with a library imports that, store and serializer only",
		of:   slices.Collect(maps.Keys(codecs)),
		forbids: func(from, to string) bool {
			return !standard(to) && !within(to, []string{"./store", codecs[from]}) && to != "./serializer"
		},
	},
	{
		says:    "migrate imports nothing of ours",
		of:      []string{"./migrate"},
		forbids: func(_, to string) bool { return own(to) && !within(to, []string{"./migrate"}) },
	},
	{
		says: "conformance imports the standard library, store, the uuid library and testify only",
		of:   []string{"./conformance"},
		forbids: func(from, to string) bool {
			allowed := []string{"./store", "./conformance", "github.com/google/uuid", "github.com/stretchr/testify"}
			if from != "./conformance" { // the model test
				allowed = append(allowed, "./backend/memory", "pgregory.net/rapid")
			}
			return !standard(to) && !within(to, allowed)
		},
	},
}

// within reports whether path is one of the roots or below one.
func within(path string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return path == root || strings.HasPrefix(path, root+"/")
	})
}

// own reports whether path is in this module.
func own(path string) bool { return strings.HasPrefix(path, "./") }

// standard reports whether path is in the standard library: there is no dot in its first part.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// closure returns all that a program links which imports the package.
func closure(g graph, root string) []string {
	seen := map[string]bool{}
	var visit func(path string)
	visit = func(path string) {
		for _, to := range g[path] {
			if !seen[to] {
				seen[to] = true
				visit(to)
			}
		}
	}
	visit(root)
	return slices.Collect(maps.Keys(seen))
}
