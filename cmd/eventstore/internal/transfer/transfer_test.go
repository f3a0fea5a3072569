package transfer_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/archive"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
	"github.com/eventstore-go/eventstore/store"
)

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, from := range kinds {
		for _, to := range kinds {
			for _, compress := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s to %s, compressed %t", from, to, compress), func(t *testing.T) {
					t.Parallel()
					old, fresh := databasetest.New(t, from), databasetest.New(t, to)
					s := open(t, old)
					s.fill()
					want, head := archived(t, old)
					source, err := transfer.Source(old)
					require.NoError(t, err)
					path := filepath.Join(t.TempDir(), "archive")
					end, err := transfer.Export(t.Context(), source, path, transfer.ExportOptions{Compress: compress, SaveEvery: 3})
					require.NoError(t, err)
					assert.Equal(t, int64(len(want)), end.Streams+end.Links+end.Events+end.Snapshots+end.Subscriptions)
					got, err := transfer.Import(t.Context(), fresh, path, transfer.ImportOptions{Batch: 7})
					require.NoError(t, err)
					assert.Equal(t, end, got)
					sound(t, fresh)
					have, freshHead := archived(t, fresh)
					assert.Equal(t, want, have)
					header, err := archive.Open(path)
					require.NoError(t, err)
					require.NoError(t, header.Close())
					// The head may move on without an event: a tick that is on its way places a stream that is deleted meanwhile.
					assert.GreaterOrEqual(t, header.Header.Head, head)
					assert.Equal(t, header.Header.Head, freshHead)

					es := open(t, fresh)
					result, err := es.Append(t.Context(), "links", store.Version(4), store.Event{Type: "more", Data: 1})
					require.NoError(t, err)
					assert.Equal(t, int64(5), result.Last)
					now, err := es.Head(t.Context())
					require.NoError(t, err)
					assert.Equal(t, freshHead+1, now, "positions of what was deleted are not used again")
					_, err = es.Append(t.Context(), "a new one", store.NoStream, store.Event{Type: "more", Data: 1})
					require.NoError(t, err)
					entries, err := os.ReadDir(filepath.Dir(path))
					require.NoError(t, err)
					assert.Len(t, entries, 1, "nothing is left beside the archive")
				})
			}
		}
	}
}

// interrupted is a source that ends after some events.
type interrupted struct {
	archive.Source
	after int
}

func (s interrupted) Events(ctx context.Context, after, head int64, do func(e *archive.Event) error) error {
	n := 0
	return s.Source.Events(ctx, after, head, func(e *archive.Event) error {
		if n++; n > s.after {
			return context.Canceled
		}
		return do(e)
	})
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, old *database.Database) {
		s := open(t, old)
		s.fill()
		want, _ := archived(t, old)
		source, err := transfer.Source(old)
		require.NoError(t, err)
		for _, compress := range []bool{false, true} {
			path := filepath.Join(t.TempDir(), "archive")
			attempts := 0
			for err := context.Canceled; err != nil; attempts++ {
				require.Less(t, attempts, 100)
				var failed error
				_, failed = transfer.Export(t.Context(), interrupted{source, 7}, path, transfer.ExportOptions{Compress: compress, SaveEvery: 3})
				if failed == nil {
					break
				}
				require.ErrorIs(t, failed, context.Canceled)
				_, failed = transfer.Import(t.Context(), old, path, transfer.ImportOptions{})
				require.ErrorIs(t, failed, os.ErrNotExist, "what is not whole does not have the name")
			}
			assert.Greater(t, attempts, 3)

			for _, kind := range kinds {
				fresh := databasetest.New(t, kind)
				interruptions := 0
				for {
					ctx, cancel := context.WithCancel(t.Context())
					_, err := transfer.Import(ctx, fresh, path, transfer.ImportOptions{Batch: 4, Progress: func(int64, int64) { cancel() }})
					cancel()
					if err == nil {
						break
					}
					require.ErrorIs(t, err, context.Canceled)
					interruptions++
				}
				assert.Greater(t, interruptions, 5)
				sound(t, fresh)
				have, _ := archived(t, fresh)
				assert.Equal(t, want, have)
			}
		}
	})
}

func TestRefused(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		s := open(t, d)
		s.append("a", 2)
		s.append("b", 4)
		source, err := transfer.Source(d)
		require.NoError(t, err)
		path := filepath.Join(t.TempDir(), "archive")
		_, err = transfer.Export(t.Context(), source, path, transfer.ExportOptions{})
		require.NoError(t, err)
		_, err = transfer.Export(t.Context(), source, path, transfer.ExportOptions{})
		require.ErrorIs(t, err, archive.ErrExists)

		_, err = transfer.Import(t.Context(), d, path, transfer.ImportOptions{})
		require.ErrorIs(t, err, transfer.ErrNotEmpty)
		_, err = transfer.Import(t.Context(), d, path, transfer.ImportOptions{Merge: true})
		require.ErrorIs(t, err, transfer.ErrTaken)
		var taken *transfer.TakenError
		require.ErrorAs(t, err, &taken)
		assert.Equal(t, []string{"a", "b"}, taken.Names)

		text, err := os.ReadFile(path)
		require.NoError(t, err)
		fresh := databasetest.New(t, d.Kind)
		damaged := filepath.Join(t.TempDir(), "damaged")
		for at := 0; at < len(text); at += 7 {
			bad := bytes.Clone(text)
			bad[at] ^= 4
			require.NoError(t, os.WriteFile(damaged, bad, 0o600))
			_, err := transfer.Import(t.Context(), fresh, damaged, transfer.ImportOptions{})
			require.ErrorIs(t, err, archive.ErrFormat, "byte %d", at)
			require.NoError(t, os.WriteFile(damaged, text[:at], 0o600))
			_, err = transfer.Import(t.Context(), fresh, damaged, transfer.ImportOptions{})
			require.ErrorIs(t, err, archive.ErrFormat, "cut at %d", at)
		}
		lines, head := archived(t, fresh)
		assert.Empty(t, lines)
		assert.Zero(t, head)
	})
}

func TestMerge(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		for _, kind := range kinds {
			fresh := databasetest.New(t, kind)
			es := open(t, fresh)
			es.append("first", 3)
			es.append("gone", 1)
			require.NoError(t, es.Delete(t.Context(), "gone", store.Any, store.HardDelete))
			s := open(t, databasetest.New(t, d.Kind))
			s.fill()
			source, err := transfer.Source(s.d)
			require.NoError(t, err)
			path := filepath.Join(t.TempDir(), "archive")
			end, err := transfer.Export(t.Context(), source, path, transfer.ExportOptions{})
			require.NoError(t, err)
			batches := 0
			for {
				ctx, cancel := context.WithCancel(t.Context())
				_, err := transfer.Import(ctx, fresh, path, transfer.ImportOptions{Merge: true, Batch: 5, Progress: func(int64, int64) {
					es.append("live", 1) // somebody else goes on
					batches++
					if batches == 3 {
						cancel()
					}
				}})
				cancel()
				if err == nil {
					break
				}
				require.ErrorIs(t, err, context.Canceled)
			}
			assert.Greater(t, batches, 3)
			var want, have []string
			for e, err := range s.All(t.Context(), nil) {
				require.NoError(t, err)
				want = append(want, fmt.Sprint(e.Stream, e.Version, e.ID))
			}
			live, last := 0, int64(0)
			for e, err := range es.All(t.Context(), nil) {
				require.NoError(t, err)
				require.Greater(t, e.Number, last)
				last = e.Number
				if e.Stream == "live" {
					live++
				} else if e.Stream != "first" {
					have = append(have, fmt.Sprint(e.Stream, e.Version, e.ID))
				}
			}
			assert.Equal(t, want, have)
			assert.Equal(t, batches, live)
			assert.Len(t, have, int(end.Events))
			sound(t, fresh)
			links, err := es.Page(t.Context(), "only-links", nil)
			require.NoError(t, err)
			assert.Len(t, links, 3)
		}
	})
}

// TestLive: what is exported while others append, link and delete is a store that could have been.
func TestLive(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		s := open(t, d)
		s.fill()
		done := make(chan struct{})
		var wg sync.WaitGroup
		for w := range 3 {
			wg.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-done:
						return
					default:
					}
					stream := fmt.Sprint("w", w, "-", i%5)
					ids := s.append(stream, 1+i%3)
					if _, err := s.Link(t.Context(), fmt.Sprint("l", w), store.Any, ids[0]); err != nil {
						t.Error(err)
					}
					if i%7 == 6 {
						if err := s.Delete(t.Context(), stream, store.Any, store.HardDelete); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		source, err := transfer.Source(d)
		require.NoError(t, err)
		for i := range 5 {
			path := filepath.Join(t.TempDir(), fmt.Sprint(i))
			_, err := transfer.Export(t.Context(), source, path, transfer.ExportOptions{SaveEvery: 10})
			require.NoError(t, err)
			fresh := databasetest.New(t, database.SQLite)
			_, err = transfer.Import(t.Context(), fresh, path, transfer.ImportOptions{})
			require.NoError(t, err)
			sound(t, fresh)
			es := open(t, fresh)
			streams, err := es.Streams(t.Context(), &store.ListOptions{StreamFilter: store.StreamFilter{Status: store.Active}})
			require.NoError(t, err)
			for _, info := range streams.Streams {
				page, err := es.Page(t.Context(), info.Stream, nil)
				require.NoError(t, err)
				last := int64(0)
				for _, e := range page {
					require.Greater(t, e.Number, last)
					if e.Stream == info.Stream && info.Stream[0] == 'w' {
						require.Equal(t, last+1, e.Number, "%s", info.Stream)
					}
					last = e.Number
				}
				if info.Stream[0] == 'w' {
					require.Equal(t, info.Version, last, "%s", info.Stream)
				}
			}
		}
		close(done)
		wg.Wait()
	})
}

func TestChosen(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		s := open(t, d)
		s.fill()
		path := filepath.Join(t.TempDir(), "archive")
		for _, bad := range [][]string{{"nothing"}, {"links"}} {
			source, err := transfer.Source(d, bad...)
			require.NoError(t, err)
			_, err = transfer.Export(t.Context(), source, path, transfer.ExportOptions{})
			var chosen *transfer.ChosenError
			require.ErrorAs(t, err, &chosen)
		}
		source, err := transfer.Source(d, "links", "a")
		require.NoError(t, err)
		end, err := transfer.Export(t.Context(), source, path, transfer.ExportOptions{})
		require.NoError(t, err)
		assert.Equal(t, archive.Counts{Streams: 2, Links: 3, Events: 4, Snapshots: 1, Subscriptions: 1}, end.Counts)
		fresh := databasetest.New(t, d.Kind)
		_, err = transfer.Import(t.Context(), fresh, path, transfer.ImportOptions{})
		require.NoError(t, err)
		sound(t, fresh)
		lines, _ := archived(t, fresh)
		all, _ := archived(t, d)
		assert.Subset(t, all, lines)
		assert.Len(t, lines, 11)
	})
}
