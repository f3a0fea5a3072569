package store

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/eventstore-go/eventstore/store/internal/batch"
)

// ProjectionInfo is what is known of a projection.
type ProjectionInfo struct {
	Name       string
	Stream     string // or All
	Partitions []PartitionInfo
	Members    int    // how many Stores run it
	ReplacedBy string // "" unless another projection has taken its place
	// ReplayUntil is up to where it replays, or has replayed, since it was reset; 0 if it never was.
	ReplayUntil int64
	CreatedAt   time.Time
}

// PartitionInfo is what is known of a partition of a projection.
type PartitionInfo struct {
	Partition int
	SubscriptionInfo
	Parked int64 // events put aside
}

// Parked returns how many events are put aside.
func (i ProjectionInfo) Parked() (n int64) {
	for _, p := range i.Partitions {
		n += p.Parked
	}
	return n
}

// Checkpoint returns the lowest checkpoint of all partitions, in the current stream.
func (i ProjectionInfo) Checkpoint() int64 {
	if len(i.Partitions) == 0 {
		return 0
	}
	return slices.MinFunc(i.Partitions, func(a, b PartitionInfo) int { return cmp.Compare(a.Passed(), b.Passed()) }).Passed()
}

// Lag returns how many numbers of the stream are not applied.
func (i ProjectionInfo) Lag() (n int64) {
	for _, p := range i.Partitions {
		n = max(n, p.Lag())
	}
	return n
}

// StalledSince returns since when a partition has not moved, although there are events behind its checkpoint: that of the
// partition that has stood still for longest. It is zero if there is none.
func (i ProjectionInfo) StalledSince() (since time.Time) {
	for _, p := range i.Partitions {
		if s := p.StalledSince(); since.IsZero() || !s.IsZero() && s.Before(since) {
			since = s
		}
	}
	return since
}

// Rate returns how many events per second are applied.
func (i ProjectionInfo) Rate() (rate float64) {
	for _, p := range i.Partitions {
		rate += p.Rate
	}
	return rate
}

// Remaining estimates how long it takes at this rate until the projection has caught up, and how much of it is done,
// from 0 to 1. Events that come meanwhile, and those that a filter leaves out, make it wrong. ok is false while there is no
// rate.
func (i ProjectionInfo) Remaining() (done float64, left time.Duration, ok bool) {
	var at, head int64
	for _, p := range i.Partitions {
		at, head = at+p.Passed(), head+p.Head
	}
	if head == 0 || at >= head {
		return 1, 0, true
	}
	done = float64(at) / float64(head)
	if rate := i.Rate(); rate > 0 {
		events := float64(head-at) / float64(len(i.Partitions))
		return done, time.Duration(events / rate * float64(time.Second)), true
	}
	return done, 0, false
}

// Projections returns all projections, by name, also those that no process runs.
func (s *Store) Projections(ctx context.Context) ([]ProjectionInfo, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	return s.projectionInfos(ctx, "")
}

// Projection returns what is known of the projection called name, also if no process runs it, or [ErrProjectionNotFound].
func (s *Store) Projection(ctx context.Context, name string) (ProjectionInfo, error) {
	if _, err := s.manageProjection(ctx, name); err != nil {
		return ProjectionInfo{}, err
	}
	list, err := s.projectionInfos(ctx, name)
	if err != nil {
		return ProjectionInfo{}, err
	}
	if len(list) == 0 {
		return ProjectionInfo{}, &ProjectionError{name, ErrProjectionNotFound}
	}
	return list[0], nil
}

// projectionInfos returns what is known of the projection called name, or with "" of all.
func (s *Store) projectionInfos(ctx context.Context, name string) ([]ProjectionInfo, error) {
	storage, err := s.projections(name)
	if err != nil {
		return nil, err
	}
	records, err := storage.ReadProjections(ctx, name)
	if err != nil || len(records) == 0 {
		return nil, err
	}
	subscriptions, err := storage.ListSubscriptions(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.hub.heads(ctx, subscriptions); err != nil {
		return nil, err
	}
	list := make([]ProjectionInfo, len(records))
	for n, r := range records {
		list[n] = ProjectionInfo{Name: r.Name, Stream: r.Stream, ReplacedBy: r.ReplacedBy, ReplayUntil: r.ReplayUntil, CreatedAt: r.CreatedAt}
		if err := s.fillIn(ctx, storage, r, subscriptions, &list[n]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// rateCounts is how long the last rate of a partition counts that applies nothing any more.
const rateCounts = 2 * batch.Span

// fillIn fills in what is known of the partitions.
func (s *Store) fillIn(ctx context.Context, storage ProjectionStorage, r ProjectionRecord, subscriptions []SubscriptionInfo, info *ProjectionInfo) error {
	if r.ReplacedBy != "" {
		return nil
	}
	parked, err := storage.CountParked(ctx, r.Name, r.Partitions)
	if err != nil {
		return err
	}
	ids := r.partitions()
	owners := map[string]bool{}
	for _, i := range subscriptions {
		n := slices.Index(ids, i.SubscriptionID)
		if n < 0 {
			continue
		}
		p := PartitionInfo{Partition: n, SubscriptionInfo: i, Parked: parked[n]}
		if time.Since(i.HandledAt) > rateCounts {
			p.Rate = 0
		}
		if i.Held {
			owners[i.Owner] = true
		}
		info.Partitions = append(info.Partitions, p)
	}
	info.Members = len(owners)
	slices.SortFunc(info.Partitions, func(a, b PartitionInfo) int { return a.Partition - b.Partition })
	return nil
}
