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
