package transfer_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
	"github.com/eventstore-go/eventstore/store"
)

// BenchmarkTransfer exports b.N events of 300 bytes in 1,000 streams, appended in tens, and imports them.
func BenchmarkTransfer(b *testing.B) {
	data := json.RawMessage(`{"text":"` + strings.Repeat("abcdefghi ", 29) + `"}`)
	for _, kind := range kinds {
		for _, compress := range []bool{false, true} {
			d := databasetest.New(b, kind)
			es := open(b, d)
			events := 0
			path := ""
			b.Run(fmt.Sprintf("op=export/store=%s/zstd=%t", kind, compress), func(b *testing.B) {
				for ; events < b.N; events += 1000 {
					for i := range 100 {
						list := make([]store.Event, 10)
						for j := range list {
							list[j] = store.Event{Type: "counted", Data: data}
						}
						_, err := es.Append(b.Context(), fmt.Sprint("stream-", (events/1000+i*7)%1000), store.Any, list...)
						require.NoError(b, err)
					}
				}
				source, err := transfer.Source(d)
				require.NoError(b, err)
				path = filepath.Join(b.TempDir(), "archive")
				b.ResetTimer()
				end, err := transfer.Export(b.Context(), source, path, transfer.ExportOptions{Compress: compress})
				require.NoError(b, err)
				b.ReportMetric(float64(end.Events)/b.Elapsed().Seconds(), "events/s")
			})
			b.Run(fmt.Sprintf("op=import/store=%s/zstd=%t", kind, compress), func(b *testing.B) {
				source, err := transfer.Source(d)
				require.NoError(b, err)
				path = filepath.Join(b.TempDir(), "archive")
				_, err = transfer.Export(b.Context(), source, path, transfer.ExportOptions{Compress: compress})
				require.NoError(b, err)
				fresh := databasetest.New(b, kind)
				b.ResetTimer()
				end, err := transfer.Import(b.Context(), fresh, path, transfer.ImportOptions{})
				require.NoError(b, err)
				b.ReportMetric(float64(end.Events)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}
