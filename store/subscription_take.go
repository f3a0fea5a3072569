package store

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/eventstore-go/eventstore/store/internal/intake"
	"github.com/eventstore-go/eventstore/store/internal/queue"
)

// follows returns a PositionLostError if the page has another event in the place of the last one that was seen. Otherwise
// it notes the last event of the page as seen, if that is further on.
func (s *subscription) follows(p fedPage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, last, seen := p.Before, p.Before, s.life.Seen()
	if n := len(p.Events); n > 0 {
		last = intake.Seen{Number: p.Events[n-1].Number, ID: p.Events[n-1].ID}
		if first := p.Events[0].Number; seen.Number >= first { // it is nearly always the first one
			i, ok := slices.BinarySearchFunc(p.Events, seen.Number, func(e Recorded, number int64) int { return cmp.Compare(e.Number, number) })
			if ok {
				at = intake.Seen{Number: p.Events[i].Number, ID: p.Events[i].ID}
			}
		}
	}
	if !s.life.Follow(at, last) {
		return &PositionLostError{Stream: s.id.Stream, After: seen.Number, Head: max(last.Number, p.Last), Replaced: true}
	}
	return nil
}

// take asks the callbacks about a page, adds what they choose to the queue, and notes that everything up to its last number
// was read. What the filter does not choose is left out here. A page of the feed, or of a projection, is not the
// subscription's own.
func (s *subscription) take(p fedPage, fed bool) error {
	page := p.Events
	if err := s.follows(p); err != nil {
		return err
	}
	after, number := int64(0), int64(0)
	if fed {
		after = p.After
	}
	s.mu.Lock()
	chosen, received, streamID, ok := s.life.Receive(len(page), after)
	s.mu.Unlock()
	if !ok {
		return nil
	}
	asks := s.opts.Selector != nil || s.opts.PartitionBy != nil || s.opts.choose != nil
	gap := false
	for i := range page {
		e := &page[i]
		if e.Number <= received {
			continue
		}
		if fed && s.id.Stream != All && e.Number > received+1 {
			gap = true // links, which the feed does not see
			break
		}
		received, number = e.Number, e.Number
		if !s.opts.Filter.Matches(e) {
			continue
		}
		selected, key, failure := true, "", (*CallbackError)(nil)
		if asks {
			selected, key, failure = s.opts.ask(streamID, e)
		}
		if selected {
			put(chosen, e, key, failure)
		}
	}
	if !fed {
		chosen.Page = page
	}
	var few *queue.Batch[Recorded]
	if chosen.Len() < len(page)/4 { // then they must not keep the whole page
		few = chosen.Move((*Recorded).clone)
	}
	if fed && s.id.Stream == All || !fed {
		number = max(number, p.Last)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.Received(number, gap, time.Now(), chosen, few)
	return nil
}

// put adds an event to a batch.
func put(b *queue.Batch[Recorded], e *Recorded, key string, failure *CallbackError) {
	if failure != nil {
		b.Put(e, e.Number, key, failure)
	} else {
		b.Put(e, e.Number, key, nil)
	}
}

// clone returns a copy that shares no memory with the page that r was read with.
func (r *Recorded) clone() *Recorded {
	c := *r
	c.Data, c.Metadata = bytes.Clone(r.Data), bytes.Clone(r.Metadata)
	c.Type, c.Stream = strings.Clone(r.Type), strings.Clone(r.Stream)
	return &c
}

// ask runs the callbacks of an event that is to be queued.
func (o *runOptions) ask(streamID int64, e *Recorded) (selected bool, key string, failure *CallbackError) {
	selected = true
	if o.choose != nil {
		failure = called("PartitionBy", *e, func() error {
			selected = o.choose(streamID, e)
			return nil
		})
		return selected, "", failure
	}
	if selected, failure = o.selects(e); failure != nil || !selected {
		return selected, e.Stream, failure
	}
	if o.PartitionBy != nil {
		key = e.Stream // if there is no answer, the nearest thing to one
		failure = called("PartitionBy", *e, func() error {
			key = o.PartitionBy(*e)
			return nil
		})
	}
	return true, key, failure
}

// selects asks the Selector. An event that it fails on is selected.
func (o *SubscribeOptions) selects(e *Recorded) (selected bool, failure *CallbackError) {
	if o.Selector == nil {
		return true, nil
	}
	failure = called("Selector", *e, func() error {
		selected = o.Selector(*e)
		return nil
	})
	return selected || failure != nil, failure
}
