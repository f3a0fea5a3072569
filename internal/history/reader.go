package history

import (
	"context"

	"github.com/eventstore-go/eventstore/store"
)

// Clock returns the next number of a clock that all who take part in a history share.
type Clock func(ctx context.Context) (int64, error)

// Reader pages all events forward from the beginning and records what it gets. It is for one goroutine.
type Reader struct {
	Name     string // that of no other reader
	Store    *store.Store
	Recorder *Recorder
	Clock    Clock

	after int64
}

// Next reads a page of at most size events. An error leaves the reader where it was.
func (r *Reader) Next(ctx context.Context, size int) (page []store.Recorded, err error) {
	p := Page{Reader: r.Name, After: r.after}
	if p.Began, err = r.Clock(ctx); err != nil {
		return nil, err
	}
	page, err = r.Store.Page(ctx, store.All, &store.ReadOptions{After: r.after, PageSize: size})
	if err != nil {
		return nil, err
	}
	if p.Ended, err = r.Clock(ctx); err != nil {
		return nil, err
	}
	if p.Events, err = seen(page); err != nil {
		return nil, err
	}
	p.End = len(page) < size
	r.Recorder.Read(p)
	r.after = p.last()
	return page, nil
}

func seen(page []store.Recorded) ([]Seen, error) {
	events := make([]Seen, len(page))
	for i, e := range page {
		id, err := store.Decode[string](e)
		if err != nil {
			return nil, err
		}
		events[i] = Seen{Position: e.Number, ID: id, Stream: e.Stream, Version: e.Version}
	}
	return events, nil
}

// ReadFinal reads what the store holds. Nobody may write meanwhile.
func (h *History) ReadFinal(ctx context.Context, es *store.Store) (err error) {
	if h.Final, err = readAll(ctx, es); err != nil {
		return err
	}
	if h.Head, err = es.Head(ctx); err != nil {
		return err
	}
	h.Streams = map[string][]Entry{}
	for opts := (store.ListOptions{SortBy: store.SortName}); ; {
		page, err := es.Streams(ctx, &opts)
		if err != nil {
			return err
		}
		for _, s := range page.Streams {
			if h.Streams[s.Stream], err = readStream(ctx, es, s.Stream); err != nil {
				return err
			}
		}
		if opts.Cursor = page.Next; opts.Cursor == "" {
			return nil
		}
	}
}

func readAll(ctx context.Context, es *store.Store) ([]Seen, error) {
	var page []store.Recorded
	for e, err := range es.All(ctx, nil) {
		if err != nil {
			return nil, err
		}
		page = append(page, e)
	}
	return seen(page)
}

func readStream(ctx context.Context, es *store.Store, stream string) ([]Entry, error) {
	var entries []Entry
	for e, err := range es.Stream(ctx, stream, nil) {
		if err != nil {
			return nil, err
		}
		id, err := store.Decode[string](e)
		if err != nil {
			return nil, err
		}
		entries = append(entries, Entry{Number: e.Number, ID: id})
	}
	return entries, nil
}
