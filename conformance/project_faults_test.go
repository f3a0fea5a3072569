//go:build !race

package conformance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"

	"github.com/eventstore-go/eventstore/store"
)

// projectFault is one broken promise about projections, and the cases that must notice. Others may notice, too.
type projectFault struct {
	name    string
	what    string
	cases   []string
	storage func(s brokenProjections) store.ProjectionStorage
	options func(o *store.ProjectOptions)
	handler func(h store.BatchHandler) store.BatchHandler
}

// brokenProjections is a storage of projections of which a part is broken.
type brokenProjections struct {
	store.ProjectionStorage
	late *lateAdvances // shared by a storage and what it is in transactions
}

// breaks returns the trial with the fault built in.
func (f projectFault) breaks(r trial) trial {
	r.breakProjections = func(t *projectionTap) {
		t.options, t.handler = f.options, f.handler
		if f.storage == nil {
			return
		}
		late := &lateAdvances{}
		t.tamper = func(s store.ProjectionStorage) store.ProjectionStorage {
			return f.storage(brokenProjections{ProjectionStorage: s, late: late})
		}
	}
	return r
}

// TestProjectFaults: every case of projections is green over SQLite, and turned red by the faults that name it. It runs many at
// once, and so not beside other tests.
func TestProjectFaults(t *testing.T) {
	byName := map[string]testCase{}
	for _, c := range cases() {
		if isProject(c.name) && c.tx.runs(true) {
			byName[c.name] = c
		}
	}
	over := Harness{Name: "sqlite", New: newSQLite}
	var mu sync.Mutex
	seen := map[string]bool{}
	slots := make(chan struct{}, 16)
	run := func(r trial, title string) (red bool) {
		slots <- struct{}{}
		defer func() { <-slots }()
		record(t, title, func(_ string, failed bool) { red = failed }, func(rec *recorder) { r.run(rec, rec.sub) })
		return red
	}
	var wg sync.WaitGroup
	for name, c := range byName {
		wg.Go(func() {
			assert.False(t, run(trial{Harness: over, testCase: c}, name), "%s is red without a fault", name)
		})
	}
	for _, f := range projectFaults {
		for _, name := range f.cases {
			c, ok := byName[name]
			if !assert.True(t, ok, "%s names %s, which is not there", f.name, name) {
				continue
			}
			seen[name] = true
			wg.Go(func() {
				red := false
				for attempt := 0; attempt < 5 && !red; attempt++ { // a busy machine hides what is a matter of time
					red = run(f.breaks(trial{Harness: over, testCase: c, impatient: 2 * time.Second}), name)
				}
				mu.Lock()
				defer mu.Unlock()
				assert.True(t, red, "%s (%s) does not turn %s red", f.name, f.what, name)
			})
		}
	}
	wg.Wait()
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		assert.True(t, seen[name], "no fault names %s", name)
	}
}

// changed returns a fault of what ReadProjections returns.
func changed(change func(p *store.ProjectionRecord)) func(b brokenProjections) store.ProjectionStorage {
	return func(b brokenProjections) store.ProjectionStorage { return changedRecords{b, change} }
}

type changedRecords struct {
	brokenProjections
	change func(p *store.ProjectionRecord)
}

func (c changedRecords) ReadProjections(ctx context.Context, name string) ([]store.ProjectionRecord, error) {
	list, err := c.ProjectionStorage.ReadProjections(ctx, name)
	for i := range list {
		c.change(&list[i])
	}
	return list, err
}

// lateAdvances are checkpoints that are written later, whatever has become of the transaction.
type lateAdvances struct {
	mu   sync.Mutex
	list []store.AdvanceRequest
}

// advanceLate writes a checkpoint at the next look at subscriptions, outside the transaction.
type advanceLate struct{ brokenProjections }

func (b advanceLate) Advance(_ context.Context, r store.AdvanceRequest) error {
	b.late.mu.Lock()
	defer b.late.mu.Unlock()
	b.late.list = append(b.late.list, r)
	return nil
}

func (b advanceLate) flush(ctx context.Context) {
	b.late.mu.Lock()
	list := b.late.list
	b.late.list = nil
	b.late.mu.Unlock()
	for _, r := range list {
		_ = b.ProjectionStorage.Advance(ctx, r)
	}
}

func (b advanceLate) ListSubscriptions(ctx context.Context) ([]store.SubscriptionInfo, error) {
	b.flush(ctx)
	return b.ProjectionStorage.ListSubscriptions(ctx)
}

func (b advanceLate) BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error) {
	b.flush(ctx)
	return b.ProjectionStorage.BeginTx(ctx, opts)
}

// errorKept is a storage whose Advance leaves the last error as it is.
type errorKept struct{ brokenProjections }

func (b errorKept) Advance(ctx context.Context, r store.AdvanceRequest) error {
	list, err := b.ListSubscriptions(ctx)
	if err != nil {
		return err
	}
	if err := b.ProjectionStorage.Advance(ctx, r); err != nil {
		return err
	}
	for _, i := range list {
		if i.SubscriptionID == r.ID && i.LastError != "" {
			return b.SaveError(ctx, r.ID, r.Epoch, i.LastError, i.LastErrorNumber)
		}
	}
	return nil
}

// freeHidden is a storage whose FreeLeases leaves out partitions.
type freeHidden struct{ brokenProjections }

func (b freeHidden) FreeLeases(ctx context.Context) ([]store.SubscriptionID, error) {
	list, err := b.ProjectionStorage.FreeLeases(ctx)
	return slices.DeleteFunc(list, func(id store.SubscriptionID) bool { return strings.HasPrefix(id.Name, "$") }), err
}

// changedAdvance changes requests.
type changedAdvance struct {
	brokenProjections
	change func(ctx context.Context, b brokenProjections, r *store.AdvanceRequest)
}

func (c changedAdvance) Advance(ctx context.Context, r store.AdvanceRequest) error {
	c.change(ctx, c.brokenProjections, &r)
	return c.ProjectionStorage.Advance(ctx, r)
}

func advanced(change func(ctx context.Context, b brokenProjections, r *store.AdvanceRequest)) func(b brokenProjections) store.ProjectionStorage {
	return func(b brokenProjections) store.ProjectionStorage { return changedAdvance{b, change} }
}

// currentEpoch makes a request be of whatever epoch it is now.
func currentEpoch(ctx context.Context, b brokenProjections, r *store.AdvanceRequest) {
	list, _ := b.ListSubscriptions(ctx)
	for _, i := range list {
		if i.SubscriptionID == r.ID {
			r.Epoch = i.Epoch
		}
	}
}

type removeKeeps struct{ brokenProjections }

func (b removeKeeps) RemoveSubscriptions(ctx context.Context, ids []store.SubscriptionID) (list []store.Lease, err error) {
	infos, err := b.ListSubscriptions(ctx)
	for _, i := range infos {
		if slices.Contains(ids, i.SubscriptionID) {
			list = append(list, store.Lease{ID: i.SubscriptionID, Checkpoint: i.Checkpoint, StreamID: i.StreamID})
		}
	}
	return list, err
}

type removeForgets struct{ brokenProjections }

func (b removeForgets) RemoveSubscriptions(ctx context.Context, ids []store.SubscriptionID) ([]store.Lease, error) {
	list, err := b.ProjectionStorage.RemoveSubscriptions(ctx, ids)
	for i := range list {
		list[i].Checkpoint = 0
	}
	return list, err
}

// placed returns a fault of what Places returns.
func placed(change func(stream string, version int64, list []store.Place) []store.Place) func(b brokenProjections) store.ProjectionStorage {
	return func(b brokenProjections) store.ProjectionStorage { return wrongPlaces{b, change} }
}

type wrongPlaces struct {
	brokenProjections
	change func(stream string, version int64, list []store.Place) []store.Place
}

func (b wrongPlaces) Places(ctx context.Context, stream string, first, last int64) ([]store.Place, error) {
	list, err := b.ProjectionStorage.Places(ctx, stream, first, last)
	return b.change(stream, last, list), err
}

// sameStreams gives every stream the same id, and none is deleted.
type sameStreams struct{ brokenProjections }

func (b sameStreams) StreamVersions(ctx context.Context, streams []string) (map[string]store.StreamInfo, error) {
	infos, err := b.ProjectionStorage.StreamVersions(ctx, streams)
	for name, i := range infos {
		i.ID, i.DeletedAt = 1, time.Time{}
		infos[name] = i
	}
	return infos, err
}

type lonely struct{ brokenProjections }

func (b lonely) JoinProjection(ctx context.Context, name, owner string, ttl time.Duration) ([]string, error) {
	_, err := b.ProjectionStorage.JoinProjection(ctx, name, owner, ttl)
	return []string{owner}, err
}

type immortal struct{ brokenProjections }

func (b immortal) JoinProjection(ctx context.Context, name, owner string, _ time.Duration) ([]string, error) {
	return b.ProjectionStorage.JoinProjection(ctx, name, owner, time.Hour)
}

func (b immortal) LeaveProjection(context.Context, string, string) error { return nil }

type parkForgets struct{ brokenProjections }

func (b parkForgets) Park(context.Context, []store.ParkedEvent) error { return nil }

// parkOnce refuses to park an id twice.
type parkOnce struct{ brokenProjections }

func (b parkOnce) Park(ctx context.Context, events []store.ParkedEvent) error {
	if len(events) == 0 {
		return nil
	}
	list, err := b.ReadParked(ctx, store.ParkedRequest{Projection: events[0].Projection, AfterNumber: -1, ToNumber: math.MaxInt64, Limit: 1000})
	for _, e := range events {
		if slices.ContainsFunc(list, func(p store.ParkedEvent) bool { return p.ID == e.ID }) {
			return errors.New("it is parked")
		}
	}
	return errors.Join(err, b.ProjectionStorage.Park(ctx, events))
}

type parkTells struct{ brokenProjections }

func (b parkTells) Park(ctx context.Context, events []store.ParkedEvent) error {
	events = slices.Clone(events)
	for i := range events {
		events[i].Error, events[i].Attempts = "", 0
	}
	return b.ProjectionStorage.Park(ctx, events)
}

// parkNowhere parks without the stream's name.
type parkNowhere struct{ brokenProjections }

func (b parkNowhere) Park(ctx context.Context, events []store.ParkedEvent) error {
	events = slices.Clone(events)
	for i := range events {
		events[i].Stream = "somewhere"
	}
	return b.ProjectionStorage.Park(ctx, events)
}

type keysUnknown struct{ brokenProjections }

func (b keysUnknown) ParkedKeys(context.Context, string, int, int) ([]string, error) { return nil, nil }

type unparkKeeps struct{ brokenProjections }

func (b unparkKeeps) Unpark(_ context.Context, _ string, ids []uuid.UUID) (int64, error) {
	return int64(len(ids)), nil
}

type releaseKeeps struct{ brokenProjections }

func (b releaseKeeps) ReleaseParked(_ context.Context, _ string, ids []uuid.UUID) (int64, error) {
	return int64(len(ids)), nil
}

// changedParked changes requests for parked events, and what comes back.
type changedParked struct {
	brokenProjections
	request func(r *store.ParkedRequest)
	page    func(r store.ParkedRequest, page []store.ParkedEvent) []store.ParkedEvent
}

func (c changedParked) ReadParked(ctx context.Context, r store.ParkedRequest) ([]store.ParkedEvent, error) {
	if c.request != nil {
		c.request(&r)
	}
	page, err := c.ProjectionStorage.ReadParked(ctx, r)
	if c.page != nil {
		page = c.page(r, page)
	}
	return page, err
}

type noCounts struct{ brokenProjections }

func (b noCounts) CountParked(context.Context, string, int) (map[int]int64, error) { return nil, nil }

// blames says of errors whose fault they are.
type blames struct {
	brokenProjections
	temporary func(step store.FailedStep, was bool) bool
}

func (b blames) Temporary(ctx context.Context, step store.FailedStep, tx *sql.Tx, err error) bool {
	return b.temporary(step, b.ProjectionStorage.Temporary(ctx, step, tx, err))
}

type saveForgets struct{ brokenProjections }

func (b saveForgets) SaveProjection(context.Context, store.ProjectionRecord) error { return nil }

type removesNothing struct{ brokenProjections }

func (b removesNothing) RemoveProjection(context.Context, string) error { return nil }

var projectFaults = []projectFault{
	{name: "advance-late", what: "the checkpoint is not written in the handler's transaction",
		cases:   []string{"project/crash", "project/commit-unknown", "advance/rolled-back", "project/random"},
		storage: func(b brokenProjections) store.ProjectionStorage { return advanceLate{b} }},
	{name: "no-fence", what: "a checkpoint is taken from whoever has lost the lease", cases: []string{"project/fenced", "advance/fence"},
		storage: advanced(currentEpoch)},
	{name: "applied-twice", what: "a checkpoint is taken for events that were applied before", cases: []string{"advance/fence"},
		storage: advanced(func(_ context.Context, _ brokenProjections, r *store.AdvanceRequest) {
			if r.From > 0 {
				r.From = 1 << 62
			}
		})},
	{name: "history-unchecked", what: "a batch is committed in whatever history the database has", cases: []string{"advance/seen"},
		storage: advanced(func(_ context.Context, _ brokenProjections, r *store.AdvanceRequest) {
			r.Seen, r.Known = store.SeenEvent{}, 0
		})},
	{name: "not-counted", what: "what was applied is not counted", cases: []string{"project/once", "project/partitions", "advance/fence"},
		storage: advanced(func(_ context.Context, _ brokenProjections, r *store.AdvanceRequest) { r.Handled, r.Rate = 0, 0 })},
	{name: "error-outlives-batch", what: "a batch leaves the last error as it is", cases: []string{"advance/error"},
		storage: func(b brokenProjections) store.ProjectionStorage { return errorKept{b} }},
	{name: "error-over-early", what: "a batch clears the last error, whichever event it is about", cases: []string{"advance/error"},
		storage: advanced(func(ctx context.Context, b brokenProjections, r *store.AdvanceRequest) {
			_ = b.SaveError(ctx, r.ID, r.Epoch, "", 0)
		})},
	{name: "free-partitions-hidden", what: "partitions that nobody runs are not among the free leases", cases: []string{"project/left"},
		storage: func(b brokenProjections) store.ProjectionStorage { return freeHidden{b} }},
	{name: "not-advanced", what: "the checkpoint stays", cases: []string{"project/wait-for", "project/status", "project/rolls-back", "project/once"},
		storage: advanced(func(_ context.Context, _ brokenProjections, r *store.AdvanceRequest) { r.From = 0 })},
	{name: "remove-keeps", what: "subscriptions that were removed are there", cases: []string{"advance/removed"},
		storage: func(b brokenProjections) store.ProjectionStorage { return removeKeeps{b} }},
	{name: "remove-forgets", what: "where partitions were is forgotten when they are removed",
		cases:   []string{"advance/removed", "project/repartition", "project/repartition-behind"},
		storage: func(b brokenProjections) store.ProjectionStorage { return removeForgets{b} }},
	{name: "layouts-forgotten", what: "what earlier partitions had applied is forgotten", cases: []string{"project/repartition-behind"},
		storage: changed(func(p *store.ProjectionRecord) { p.Applied = "" })},
	{name: "position-wrong", what: "a position is the version", cases: []string{"advance/places", "project/wait-for"},
		storage: placed(func(stream string, version int64, list []store.Place) []store.Place {
			for i := range list {
				list[i].Position = version
			}
			return list
		})},
	{name: "last-place-only", what: "of an append only the last event is known", cases: []string{"advance/places", "project/wait-for-links", "project/wait-for-links-parked"},
		storage: placed(func(_ string, _ int64, list []store.Place) []store.Place { return list[max(0, len(list)-1):] })},
	{name: "places-in-the-target", what: "links seem to be to events of their own stream", cases: []string{"advance/places", "project/wait-for-links-streams"},
		storage: placed(func(stream string, _ int64, list []store.Place) []store.Place {
			for i := range list {
				list[i].Stream = stream
			}
			return list
		})},
	{name: "streams-by-name", what: "a stream that is created again, or soft deleted, is the same", cases: []string{"project/lag-created-again", "project/soft-deleted-refused"},
		storage: func(b brokenProjections) store.ProjectionStorage { return sameStreams{b} }},
	{name: "lonely", what: "each process believes that it is alone", cases: []string{"project/share"},
		storage: func(b brokenProjections) store.ProjectionStorage { return lonely{b} }},
	{name: "immortal", what: "who has gone keeps its share", cases: []string{"project/share"},
		storage: func(b brokenProjections) store.ProjectionStorage { return immortal{b} }},
	{name: "park-forgets", what: "what is parked is lost", cases: []string{"project/park", "project/soft-deleted-parked", "project/replay", "project/parked-gone", "project/discard"},
		storage: func(b brokenProjections) store.ProjectionStorage { return parkForgets{b} }},
	{name: "park-once", what: "an id is parked once", cases: []string{"project/parked-again"},
		storage: func(b brokenProjections) store.ProjectionStorage { return parkOnce{b} }},
	{name: "park-nowhere", what: "what is parked does not say of which stream it is", cases: []string{"project/hard-deleted-parked", "project/hard-deleted-idle"},
		storage: func(b brokenProjections) store.ProjectionStorage { return parkNowhere{b} }},
	{name: "park-mute", what: "why an event is parked is lost", cases: []string{"project/park", "project/replay-fails"},
		storage: func(b brokenProjections) store.ProjectionStorage { return parkTells{b} }},
	{name: "keys-unknown", what: "whoever goes on does not know what is parked", cases: []string{"project/park", "project/replay-key"},
		storage: func(b brokenProjections) store.ProjectionStorage { return keysUnknown{b} }},
	{name: "unpark-keeps", what: "what was applied stays parked", cases: []string{"project/replay", "project/discard", "project/discard-meanwhile", "project/parked-gone", "project/reset", "project/reset-many"},
		storage: func(b brokenProjections) store.ProjectionStorage { return unparkKeeps{b} }},
	{name: "release-keeps", what: "what is to be replayed is not", cases: []string{"project/replay", "project/replay-fails", "project/replay-beside", "project/replay-key", "project/partition-by"},
		storage: func(b brokenProjections) store.ProjectionStorage { return releaseKeeps{b} }},
	{name: "ready-all", what: "what is behind a failed event is replayed", cases: []string{"project/park"},
		storage: func(b brokenProjections) store.ProjectionStorage {
			return changedParked{b, func(r *store.ParkedRequest) { r.Ready, r.ToNumber = false, math.MaxInt64 }, nil}
		}},
	{name: "ready-backward", what: "the last comes first", cases: []string{"project/replay"},
		storage: func(b brokenProjections) store.ProjectionStorage {
			return changedParked{b, nil, func(_ store.ParkedRequest, page []store.ParkedEvent) []store.ParkedEvent {
				slices.Reverse(page)
				return page
			}}
		}},
	{name: "ready-excepts-all", what: "nothing is to be replayed while one key is left out", cases: []string{"project/replay-pages"},
		storage: func(b brokenProjections) store.ProjectionStorage {
			return changedParked{b, nil, func(r store.ParkedRequest, page []store.ParkedEvent) []store.ParkedEvent {
				return slices.DeleteFunc(page, func(store.ParkedEvent) bool { return len(r.ExceptKeys) > 0 })
			}}
		}},
	{name: "ready-excepts-none", what: "what waits for a retry is not left out of what is to be replayed", cases: []string{"project/replay-pages", "project/replay-retried"},
		storage: func(b brokenProjections) store.ProjectionStorage {
			return changedParked{b, func(r *store.ParkedRequest) { r.ExceptKeys = nil }, nil}
		}},
	{name: "parked-unfiltered", what: "all that is parked is listed", cases: []string{"project/park", "project/replay-key"},
		storage: func(b brokenProjections) store.ProjectionStorage {
			return changedParked{b, func(r *store.ParkedRequest) { r.Keys, r.Numbers = nil, nil }, nil}
		}},
	{name: "not-counted-parked", what: "what is parked is not counted", cases: []string{"project/park", "project/replace-parked"},
		storage: func(b brokenProjections) store.ProjectionStorage { return noCounts{b} }},
	{name: "blames-all", what: "events are blamed for what the database does", cases: []string{"project/not-the-event", "project/commit-unknown"},
		storage: func(b brokenProjections) store.ProjectionStorage {
			return blames{b, func(store.FailedStep, bool) bool { return false }}
		}},
	{name: "blames-none", what: "no event is blamed",
		cases: []string{"project/halves", "project/skip", "project/stop", "project/park"},
		storage: func(b brokenProjections) store.ProjectionStorage {
			return blames{b, func(store.FailedStep, bool) bool { return true }}
		}},
	{name: "save-forgets", what: "changes of a projection are lost", cases: []string{"project/repartition", "project/reset", "project/replace"},
		storage: func(b brokenProjections) store.ProjectionStorage { return saveForgets{b} }},
	{name: "replay-unmarked", what: "what happens again is not told from what is new", cases: []string{"project/reset"},
		storage: changed(func(p *store.ProjectionRecord) { p.ReplayUntil = 0 })},
	{name: "replaced-forgotten", what: "a projection that was replaced goes on", cases: []string{"project/replace"},
		storage: changed(func(p *store.ProjectionRecord) { p.ReplacedBy = "" })},
	{name: "by-stream", what: "the partition key is said to be the stream", cases: []string{"project/partition-by"},
		storage: changed(func(p *store.ProjectionRecord) { p.ByStream = true })},
	{name: "delete-keeps", what: "a projection that was deleted is there", cases: []string{"project/delete"},
		storage: func(b brokenProjections) store.ProjectionStorage { return removesNothing{b} }},
	{name: "batch-of-one", what: "each event has a transaction of its own", cases: []string{"project/batches"},
		options: func(o *store.ProjectOptions) { o.BatchSize = 1 }},
	{name: "filter-ignored", what: "all events are applied", cases: []string{"project/filter"},
		options: func(o *store.ProjectOptions) { o.Filter = store.EventFilter{} }},
	{name: "start-ignored", what: "a projection begins with the first event", cases: []string{"project/start"},
		options: func(o *store.ProjectOptions) { o.Start = store.StartOrigin }},
	{name: "one-partition", what: "there is one partition", cases: []string{"project/partitions", "project/share"},
		options: func(o *store.ProjectOptions) { o.Partitions = 1 }},
	{name: "stream-ignored", what: "all streams are projected", cases: []string{"project/stream", "project/options", "project/hard-deleted-stream"},
		options: func(o *store.ProjectOptions) { o.Stream = "" }},
	{name: "key-ignored", what: "the key is the stream's name", cases: []string{"project/partition-by", "project/partition-by-panics"},
		options: func(o *store.ProjectOptions) { o.PartitionBy = nil }},
	{name: "half-committed", what: "a batch that fails leaves what came before the failure", cases: []string{"project/rolls-back", "project/halves"},
		handler: func(h store.BatchHandler) store.BatchHandler {
			return func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
				_ = h(ctx, tx, events)
				return nil
			}
		}},
	{name: "fails-for-ever", what: "an event that has failed is handled until it succeeds", cases: []string{"project/stream-gone"},
		handler: func(h store.BatchHandler) store.BatchHandler {
			var failed atomic.Bool
			return func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
				if failed.Load() {
					return errCallback
				}
				err := h(ctx, tx, events)
				failed.Store(err != nil)
				return err
			}
		}},
	{name: "panic-passed-over", what: "a handler that panics is called again", cases: []string{"project/panic"},
		handler: func(h store.BatchHandler) store.BatchHandler {
			return func(ctx context.Context, tx *sql.Tx, events []store.Recorded) (err error) {
				defer func() {
					if p := recover(); p != nil {
						err = fmt.Errorf("%v", p)
					}
				}()
				return h(ctx, tx, events)
			}
		}},
	{name: "end-passed-over", what: "a transaction may be ended by the handler", cases: []string{"project/swallowed"},
		handler: func(h store.BatchHandler) store.BatchHandler {
			return func(ctx context.Context, tx *sql.Tx, events []store.Recorded) error {
				if _, err := tx.ExecContext(ctx, "savepoint here"); err != nil {
					return err
				}
				return nil
			}
		}},
}

func TestProjectFaultNames(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range projectFaults {
		assert.False(t, seen[f.name], "two faults are called %s", f.name)
		seen[f.name] = true
		assert.NotEmpty(t, f.what)
		assert.NotEmpty(t, f.cases)
	}
}
