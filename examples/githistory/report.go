package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/eventstore-go/eventstore/store"
)

// Sizes of what is printed.
const (
	mostAuthors = 10
	mostMonths  = 6
	mostStreams = 5
	mostEvents  = 10
)

// report writes what is stored, with tabs between columns.
func (h *history) report(ctx context.Context, w *strings.Builder) error {
	for _, print := range []func(context.Context, *strings.Builder) error{h.printTable, h.printStreams, h.printLast} {
		if err := print(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// printTable prints the table, which was kept in the transactions of the events, and how many events there are.
func (h *history) printTable(ctx context.Context, w *strings.Builder) error {
	counts, err := readTable(ctx, h.db, readSQL)
	if err != nil {
		return err
	}
	head, err := h.es.Head(ctx)
	if err != nil {
		return err
	}
	total, authors, months := int64(0), map[string]int64{}, map[string]int64{}
	for k, n := range counts {
		total += n
		authors[k.author] += n
		months[k.month] += n
	}
	busiest := slices.SortedFunc(maps.Keys(authors), func(a, b string) int {
		return cmp.Or(cmp.Compare(authors[b], authors[a]), cmp.Compare(a, b))
	})
	busiest = busiest[:min(len(busiest), mostAuthors)]
	latest := slices.Sorted(maps.Keys(months))
	latest = latest[max(0, len(latest)-mostMonths):]

	fmt.Fprintf(w, "\nThe table counts %d commits, the store has %d events. %d of %d authors, the last %d of %d months:\n",
		total, head, len(busiest), len(authors), len(latest), len(months))
	fmt.Fprintf(w, "  author\tall\t%s\n", strings.Join(latest, "\t"))
	for _, author := range busiest {
		fmt.Fprintf(w, "  %s\t%d", author, authors[author])
		for _, month := range latest {
			fmt.Fprintf(w, "\t%d", counts[key{author, month}])
		}
		fmt.Fprintln(w)
	}
	return nil
}

func (h *history) printStreams(ctx context.Context, w *strings.Builder) error {
	page, err := h.es.Streams(ctx, &store.ListOptions{SortBy: store.SortVersion, Descending: true, PageSize: mostStreams})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\nThe longest of %d streams:\n", page.Total)
	for _, s := range page.Streams {
		fmt.Fprintf(w, "  %s\tversion %d\tsince %s\n", s.Stream, s.Version, s.CreatedAt.Format("2006-01-02"))
	}
	return nil
}

// printLast reads all events backward.
func (h *history) printLast(ctx context.Context, w *strings.Builder) error {
	fmt.Fprint(w, "\nThe last events, newest first:\n")
	for e, err := range h.es.All(ctx, &store.ReadOptions{Backward: true, Limit: mostEvents}) {
		if err != nil {
			return err
		}
		c, err := store.Decode[commit](e)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "  %d\t%.10s\t%s\t%d files\t%s\t%.60s\n", e.Number, c.Hash, e.CreatedAt.Format("2006-01-02"), len(c.Files), c.Name, c.Subject)
	}
	return nil
}
