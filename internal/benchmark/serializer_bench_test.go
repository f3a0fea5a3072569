package benchmark

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/serializer/encryption"
	"github.com/eventstore-go/eventstore/serializer/msgpack"
	"github.com/eventstore-go/eventstore/serializer/protobuf"
	"github.com/eventstore-go/eventstore/serializer/zstd"
	"github.com/eventstore-go/eventstore/store"
)

// order is an event as programs have them. It is as large as it has lines.
type order struct {
	Customer string  `json:"customer"`
	Total    float64 `json:"total"`
	Paid     bool    `json:"paid"`
	Lines    []line  `json:"lines"`
}

type line struct {
	SKU      string  `json:"sku"`
	Name     string  `json:"name"`
	Quantity float64 `json:"quantity"`
	Price    float64 `json:"price"`
}

func newOrder(lines int) order {
	o := order{Customer: "c-1938401", Total: 123.45, Paid: true, Lines: make([]line, lines)}
	for i := range o.Lines {
		sku := uint32(i) * 2654435761
		o.Lines[i] = line{SKU: fmt.Sprintf("%08x", sku), Name: fmt.Sprintf("article no. %d", sku%1009), Quantity: float64(1 + i%7), Price: float64(sku%10_000) / 100}
	}
	return o
}

// message is the order as a message. There is no protobuf compiler here, so it is a Struct: a generated message names its
// fields by numbers, and would be smaller and quicker.
func (o order) message(b *testing.B) *structpb.Struct {
	lines := make([]any, len(o.Lines))
	for i, l := range o.Lines {
		lines[i] = map[string]any{"sku": l.SKU, "name": l.Name, "quantity": l.Quantity, "price": l.Price}
	}
	m, err := structpb.NewStruct(map[string]any{"customer": o.Customer, "total": o.Total, "paid": o.Paid, "lines": lines})
	require.NoError(b, err)
	return m
}

// encodings runs a benchmark for each way to encode an event.
func encodings(b *testing.B, run func(b *testing.B, s *serializer.Serializer, value any)) {
	types := serializer.NewTypes()
	serializer.Register[order](types, "order")
	serializer.Register[*structpb.Struct](types, "message")
	for _, format := range []serializer.Format{serializer.JSONFormat{}, msgpack.Format{UseJSONTags: true}, protobuf.Format{}} {
		for _, coding := range []string{"none", "zstd", "aes"} {
			o := &serializer.Options{Types: types}
			switch coding {
			case "zstd":
				o.Codings = []serializer.Coding{zstd.New(nil)}
			case "aes": // one customer, whose key is in memory
				customer := func(string, any) string { return "c-1938401" }
				o.Codings = []serializer.Coding{encryption.New(encryption.NewMemoryKeys(), customer, nil)}
			}
			for _, size := range []struct {
				name  string
				lines int
			}{{"small", 1}, {"10KB", 140}} {
				b.Run(fmt.Sprintf("format=%s/coding=%s/size=%s", format.Name(), coding, size.name), func(b *testing.B) {
					value := any(newOrder(size.lines))
					if format.Name() == protobuf.Name {
						value = newOrder(size.lines).message(b)
					}
					b.ReportAllocs()
					run(b, serializer.New(format, o), value)
				})
			}
		}
	}
}

// BenchmarkEncode reports how large the event becomes, too. What is below the threshold of zstd is left alone by it.
func BenchmarkEncode(b *testing.B) {
	encodings(b, func(b *testing.B, s *serializer.Serializer, value any) {
		name, _ := s.TypeName(value)
		var size int
		for b.Loop() {
			data, _, err := s.Encode(name, value)
			if err != nil {
				b.Fatal(err)
			}
			size = len(data)
		}
		b.ReportMetric(float64(size), "bytes/event")
	})
}

// BenchmarkDecode decodes into an any, by the type's name.
func BenchmarkDecode(b *testing.B) {
	encodings(b, func(b *testing.B, s *serializer.Serializer, value any) {
		name, _ := s.TypeName(value)
		data, contentType, err := s.Encode(name, value)
		require.NoError(b, err)
		for b.Loop() {
			var into any
			if err := s.Decode(name, contentType, data, &into); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkRead reads a stream of 1,000 events from memory. Events are decoded when they are asked for their data, and not
// before: with decode=no what is read costs the same whatever the serializer does.
func BenchmarkRead(b *testing.B) {
	const events = 1000
	types := serializer.NewTypes()
	serializer.Register[order](types, "order")
	for _, decode := range []string{"no", "yes"} {
		for _, coding := range []string{"none", "zstd"} {
			b.Run(fmt.Sprintf("decode=%s/coding=%s", decode, coding), func(b *testing.B) {
				o := &serializer.Options{Types: types}
				if coding == "zstd" {
					o.Codings = []serializer.Coding{zstd.New(nil)}
				}
				es := store.New(memory.New(), &store.Options{Serializer: serializer.New(serializer.JSONFormat{}, o)})
				for range events {
					_, err := es.Append(b.Context(), "orders", store.Any, store.Event{Data: newOrder(20)})
					require.NoError(b, err)
				}
				b.ReportAllocs()
				for b.Loop() {
					n := 0
					for e, err := range es.Stream(b.Context(), "orders", nil) {
						if err == nil && decode == "yes" {
							_, err = store.Decode[any](e)
						}
						if err != nil {
							b.Fatal(err)
						}
						n++
					}
					if n != events {
						b.Fatal(n, "events")
					}
				}
				b.ReportMetric(float64(events*b.N)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}
