package queue

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkQueue takes and acknowledges pages of 1,000 events, at most 100 at a time. An op is a page.
func BenchmarkQueue(b *testing.B) {
	for _, keys := range []int{0, 1, 100} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			names := make([]string, 1000)
			for i := range names {
				if keys > 0 {
					names[i] = fmt.Sprint(i % keys)
				}
			}
			q := New[event](0, 0, 2000, nil)
			d := NewDesk(q, 1)
			s, err := d.Sit(100, func() {})
			require.NoError(b, err)
			events := make([]event, len(names))
			number, delivery := int64(0), int64(0)
			b.ReportAllocs()
			for b.Loop() {
				page := q.Batch(len(events))
				for i := range events {
					number++
					page.Put(&events[i], number, names[i], nil)
				}
				q.Add(page)
				for !q.Empty() {
					delivery++
					items, _, err := d.Take(s, Request{Delivery: delivery, Open: true})
					require.NoError(b, err)
					last := items[len(items)-1].Number
					q.Let(items)
					require.NoError(b, d.Ack(s, Answer{N: 1, Event: func(int) (int64, int64) { return last, delivery }, Open: true}))
				}
			}
			b.ReportMetric(float64(len(events)*b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkWants takes and acknowledges events without a key, one at a time, and asks each time whether dropped events are to be read
// again, as a subscription does, beside so many lanes that stand still and have dropped events.
func BenchmarkWants(b *testing.B) {
	for _, short := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("short=%d", short), func(b *testing.B) {
			q := New[event](0, 0, 2*short+1000, nil)
			d := NewDesk(q, 2)
			still, err := d.Sit(short, func() {})
			require.NoError(b, err)
			number, delivery := int64(0), int64(0)
			add := func(n int, key func(i int) string) {
				page := q.Batch(n)
				for i := range n {
					number++
					page.Put(&event{number}, number, key(i), nil)
				}
				q.Add(page)
			}
			take := func(s *Seat[event]) (last int64) {
				delivery++
				items, _, err := d.Take(s, Request{Delivery: delivery, Open: true})
				require.NoError(b, err)
				last = items[len(items)-1].Number
				q.Let(items)
				return last
			}
			key := func(i int) string { return fmt.Sprint(i) }
			add(short, key)
			take(still)
			for range 3 + 1000/short {
				add(short, key)
			}
			q.Press()
			require.Len(b, q.short, short)
			s, err := d.Sit(1, func() {})
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				add(1, func(int) string { return "" })
				last := take(s)
				_, ok := q.Wants()
				require.NoError(b, d.Ack(s, Answer{N: 1, Event: func(int) (int64, int64) { return last, delivery }, Open: true}))
				_, again := q.Wants()
				require.False(b, ok || again)
			}
		})
	}
}
