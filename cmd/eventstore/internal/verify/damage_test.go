package verify

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/store"
)

// small fills a store, without anything that leaves numbers unused:
//
//	append 1  position 1       a 1
//	append 2  positions 2-4    a 2, 3, 4
//	append 3  position 5       b 1
//	append 4  position 6       b 2
//	append 5  position 7       c 1, and behind it links: c 2 to a 2, c 3 to b 1
//	append 6  position 8       c 4
//	append 7  position 9       b 3
//	append 8  position 10      a 5
//
// A tick comes after each append, so that each has a row in PostgreSQL's log. The streams have ids 1, 2, 3. A projection p has two partitions, and parks one event, as a subscription on a does.
func small(t *testing.T, d *database.Database) {
	t.Helper()
	ctx := t.Context()
	es := open(t, d)
	appended := map[string][]store.Event{}
	for _, a := range []struct {
		stream string
		n      int
	}{{"a", 1}, {"a", 3}, {"b", 1}, {"b", 1}, {"c", 1}, {"", 0}, {"c", 1}, {"b", 1}, {"a", 1}} {
		if a.stream == "" {
			_, err := es.Link(ctx, "c", store.Any, appended["a"][1].ID, appended["b"][0].ID)
			require.NoError(t, err)
			continue
		}
		list := events(a.n)
		_, err := es.Append(ctx, a.stream, store.Any, list...)
		require.NoError(t, err)
		appended[a.stream] = append(appended[a.stream], list...)
		tick(t, es)
	}
	b := d.Backend
	p := store.ProjectionRecord{Name: "p", Stream: store.All, Partitions: 2, Generation: 1, ByStream: true}
	_, err := b.AddProjection(ctx, p)
	require.NoError(t, err)
	require.NoError(t, b.AddSubscriptions(ctx, []store.SubscriptionID{{Stream: store.All, Name: "$p/1/0"}, {Stream: store.All, Name: "$p/1/1"}}, 5, 0))
	require.NoError(t, b.AddSubscriptions(ctx, []store.SubscriptionID{{Stream: store.All, Name: "r"}}, 4, 0))
	require.NoError(t, b.AddSubscriptions(ctx, []store.SubscriptionID{{Stream: "a", Name: "q"}, {Stream: "a", Name: "r"}}, 3, 1))
	require.NoError(t, b.Park(ctx, []store.ParkedEvent{{
		Projection: "p", Key: "a", Number: 1, ID: appended["a"][0].ID, Stream: "a", Version: 1, Type: "happened", Failed: true,
	}}))
	lease, err := b.AcquireLease(ctx, store.LeaseRequest{ID: store.SubscriptionID{Stream: "a", Name: "r"}, Owner: "o", TTL: 1})
	require.NoError(t, err)
	n, err := b.(store.ParkedStorage).SaveParked(ctx, store.ParkedChange{ID: lease.ID, Epoch: lease.Epoch, StreamID: 1, Park: []store.ParkedEvent{{
		Subscription: lease.ID, Key: "a", Number: 1, ID: appended["a"][0].ID, Stream: "a", Version: 1, Type: "happened", Failed: true,
	}}})
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	require.NoError(t, es.RecordSnapshot(ctx, store.Snapshot{SourceID: "a", Version: 3, Type: "account", Data: 7}))
}

// unguard removes what keeps people from damaging a store.
var unguard = map[database.Kind]string{
	database.PostgreSQL: `alter table /*schema.*/events disable trigger guard; alter table /*schema.*/links disable trigger guard;
		alter table /*schema.*/log disable trigger guard; alter table /*schema.*/streams disable trigger guard`,
	database.SQLite: `drop trigger /*prefix*/streams_no_rename; drop trigger /*prefix*/events_no_update; drop trigger /*prefix*/events_no_delete; drop trigger /*prefix*/links_no_update;
		drop trigger /*prefix*/links_no_delete; drop trigger /*prefix*/streams_no_delete; drop trigger /*prefix*/head_no_decrease;
		drop trigger /*prefix*/head_no_delete; drop trigger /*prefix*/epochs_no_decrease`,
}

// damage is something that is done to a store, and the checks that find it.
type damage struct {
	name, sql string
	want      []string
}

var postgresDamage = []damage{
	{"a version too many", `update /*schema.*/streams set version = 4 where name = 'b'`, []string{"stream-version"}},
	{"a version too few", `update /*schema.*/streams set version = 2 where name = 'b'`, []string{"stream-version"}},
	{"a version too few with links", `update /*schema.*/streams set version = 3 where name = 'c'`, []string{"stream-version"}},
	{"no version", `update /*schema.*/streams set version = 0 where name = 'b'`, []string{"stream-version"}},
	{"an append lost", `delete from /*schema.*/events where append_seq = 4`, []string{"stream-gap"}},
	{"the first event lost", `delete from /*schema.*/events where append_seq = 1`, []string{"stream-gap"}},
	{"the last event lost", `delete from /*schema.*/events where append_seq = 8`, []string{"stream-version"}},
	{"an event of an append lost", `delete from /*schema.*/events where append_seq = 2 and idx = 1`, []string{"append-events", "stream-gap"}},
	{"all events lost", `truncate /*schema.*/events`, []string{"link-event", "stream-version"}},
	{"version 0", `update /*schema.*/events set version = 0 where append_seq = 3`, []string{"stream-gap"}},
	{"a stream lost", `delete from /*schema.*/streams where name = 'b'`, []string{"event-without-stream"}},
	{"a stream with links lost", `delete from /*schema.*/streams where name = 'c'`, []string{"event-without-stream", "link-stream"}},
	{"positions exchanged", `update /*schema.*/log set position = 100 where append_seq = 3; update /*schema.*/log set position = 5 where append_seq = 4;
		update /*schema.*/log set position = 6 where append_seq = 3`, []string{"stream-order"}},
	{"versions exchanged", `update /*schema.*/events set version = 100 where append_seq = 3; update /*schema.*/events set version = 1 where append_seq = 4;
		update /*schema.*/events set version = 2 where append_seq = 3`, []string{"stream-order"}},
	{"versions of an append exchanged", `update /*schema.*/events set version = 100 where append_seq = 2 and idx = 0;
		update /*schema.*/events set version = 2 where append_seq = 2 and idx = 1; update /*schema.*/events set version = 3 where append_seq = 2 and idx = 0`,
		[]string{"append-versions", "stream-order"}},
	{"a row of the log lost", `delete from /*schema.*/log where append_seq = 4`, []string{"event-unplaced"}},
	{"a row of the log too long", `update /*schema.*/log set n = 2 where append_seq = 4`, []string{"append-events", "log-overlap"}},
	{"the last row of the log too long", `update /*schema.*/log set n = 2 where append_seq = 8`, []string{"append-events"}},
	{"a row of the log without events", `update /*schema.*/log set n = 0 where append_seq = 8`, []string{"append-events", "log-row"}},
	{"a row of the log without events where a subscription was", `update /*schema.*/log set n = 0 where append_seq = 2;
		update /*schema.*/subscriptions set seen = 4, seen_id = gen_random_uuid() where stream = '$all' and name = 'r'`, []string{"append-events", "log-gap", "log-row"}},
	{"a row of the log without appends", `update /*schema.*/log set appends = 0 where append_seq = 8`, []string{"log-row"}},
	{"a row of the log with an append too many", `update /*schema.*/log set appends = 2 where append_seq = 4`, []string{"log-overlap"}},
	{"an append with two positions", `delete from /*schema.*/log where append_seq >= 7;
		insert into /*schema.*/log (position, append_seq, n, appends) values (9, 7, 1, 2), (11, 8, 1, 1)`, []string{"log-overlap"}},
	{"a gap in the log", `update /*schema.*/log set position = position + 100 where append_seq >= 5`, []string{"log-gap"}},
	{"a gap before the log", `update /*schema.*/log set position = position + 100`, []string{"log-gap"}},
	{"an append in two streams", `update /*schema.*/events set append_seq = 4, idx = 1 where append_seq = 5;
		delete from /*schema.*/log where append_seq = 5; update /*schema.*/log set n = 2 where append_seq = 4`, []string{"append-stream"}},
	{"an append with a gap", `update /*schema.*/events set append_seq = 5, idx = 1 where append_seq = 6;
		delete from /*schema.*/log where append_seq = 6; update /*schema.*/log set n = 2 where append_seq = 5`, []string{"append-versions"}},
	{"an append's first index", `update /*schema.*/events set idx = 1 where append_seq = 4`, []string{"append-events"}},
	{"a hole backwards", `insert into /*schema.*/holes (first_seq, last_seq) values (9, 8)`, []string{"hole-range"}},
	{"a hole above the log", `insert into /*schema.*/holes (first_seq, last_seq) values (9, 12)`, []string{"hole-range"}},
	{"a hole in the log", `insert into /*schema.*/holes (first_seq, last_seq) values (4, 4)`, []string{"hole-in-log"}},
	{"holes that overlap", `update /*schema.*/events set append_seq = 50 where append_seq = 8; update /*schema.*/log set append_seq = 50 where append_seq = 8;
		select setval('/*schema.*/append_seq', 50); insert into /*schema.*/holes (first_seq, last_seq) values (10, 20), (15, 30), (31, 40)`, []string{"hole-overlap"}},
	{"a link to nothing", `update /*schema.*/links set append_seq = 99 where version = 2`, []string{"link-event"}},
	{"a link not marked", `update /*schema.*/streams set linked = false where name = 'c'`, []string{"link-unmarked", "stream-gap"}},
	{"a link beyond the end", `update /*schema.*/links set version = 9 where version = 3`, []string{"link-version"}},
	{"a link to an own event", `update /*schema.*/links set append_seq = 5 where version = 2`, []string{"link-own"}},
	{"a version used twice", `update /*schema.*/links set version = 4 where version = 3`, []string{"version-twice"}},
	{"append_seq behind", `select setval('/*schema.*/append_seq', 3)`, []string{"sequence-behind"}},
	{"append_seq new", `select setval('/*schema.*/append_seq', 8, false)`, []string{"sequence-behind"}},
	{"stream_seq behind", `select setval('/*schema.*/stream_seq', 2)`, []string{"sequence-behind"}},
	{"stream_seq behind what was hard deleted", `insert into /*schema.*/retired (kind, id) values ('stream', 99)`, []string{"sequence-behind"}},
	{"epoch_seq behind what was deleted", `insert into /*schema.*/retired (kind, id) values ('epoch', 99)`, []string{"sequence-behind"}},
	{"epoch_seq behind", `select setval('/*schema.*/epoch_seq', 3)`, []string{"sequence-behind", "subscription-epoch"}},
	{"no store", `delete from /*schema.*/store`, []string{"one-row"}},
	{"data that no statement returns", jsonb("events", "data") + `
		update /*schema.*/events set data = (select jsonb_agg('1e131071'::numeric) from generate_series(1, 8200)) where append_seq = 4`, []string{"data-size"}},
	{"data with too many digits", jsonb("events", "data") + `
		update /*schema.*/events set data = (select jsonb_build_object('n', jsonb_agg('-1e-16000'::numeric)) from generate_series(1, 4200)) where append_seq = 4`,
		[]string{"data-size"}},
	{"data that are too long", jsonb("events", "data") + `
		update /*schema.*/events set data = to_jsonb(repeat('x', 67108863)) where append_seq = 4`, []string{"data-size"}},
	{"metadata with too many digits", jsonb("events", "metadata") + `
		update /*schema.*/events set metadata = (select jsonb_agg('1e131071'::numeric) from generate_series(1, 9)) where append_seq = 4`, []string{"data-size"}},
	{"a snapshot that no statement returns", jsonb("snapshots", "data") + `
		update /*schema.*/snapshots set data = (select jsonb_agg('1e131071'::numeric) from generate_series(1, 8200))`, []string{"snapshot-size"}},
}

// jsonb makes a column of bytes jsonb.
func jsonb(table, column string) string {
	return `drop function if exists /*schema.*/recorded_from(bigint, bigint); drop view if exists /*schema.*/recorded;
		alter table /*schema.*/` + table + ` alter column ` + column + ` type jsonb using convert_from(` + column + `, 'UTF8')::jsonb;`
}

var sqliteDamage = []damage{
	{"a version too many", `update /*prefix*/streams set version = 4 where name = 'b'`, []string{"stream-version"}},
	{"a version too few", `update /*prefix*/streams set version = 2 where name = 'b'`, []string{"stream-version"}},
	{"a version too few with links", `update /*prefix*/streams set version = 3 where name = 'c'`, []string{"stream-version"}},
	{"an event lost", `delete from /*prefix*/events where position = 6`, []string{"position-gap", "stream-gap"}},
	{"the first event lost", `delete from /*prefix*/events where position = 1`, []string{"position-gap", "stream-gap"}},
	{"the last event lost", `delete from /*prefix*/events where position = 10`, []string{"position-gap", "stream-version"}},
	{"an event of an append lost", `delete from /*prefix*/events where position = 3`, []string{"append-events", "stream-gap"}},
	{"a link lost", `delete from /*prefix*/links where version = 3`, []string{"stream-gap"}},
	{"version 0", `update /*prefix*/events set version = 0 where position = 5`, []string{"stream-gap"}},
	{"position 0", `update /*prefix*/events set position = 0 where position = 1`, []string{"position-gap", "position-row"}},
	{"a stream lost", `delete from /*prefix*/streams where name = 'b'`, []string{"event-without-stream"}},
	{"a stream with links lost", `delete from /*prefix*/streams where name = 'c'`, []string{"event-without-stream", "link-stream"}},
	{"positions exchanged", `update /*prefix*/events set position = 100 where position = 6; update /*prefix*/events set position = 6 where position = 5;
		update /*prefix*/events set position = 5 where position = 100`, []string{"stream-order"}},
	{"an index", `update /*prefix*/events set idx = 2 where position = 6`, []string{"append-events"}},
	{"a negative index", `update /*prefix*/events set idx = -1 where position = 6`, []string{"append-events"}},
	{"an append in two streams", `update /*prefix*/events set idx = 1 where position = 7`, []string{"append-stream"}},
	{"an append with a gap", `update /*prefix*/events set idx = 1 where position = 8`, []string{"append-versions"}},
	{"the head behind", `update /*prefix*/head set position = 9`, []string{"head-behind"}},
	{"the head ahead", `update /*prefix*/head set position = 12`, []string{"position-gap"}},
	{"a hard delete left open", `update /*prefix*/head set deleting = 2`, []string{"head-deleting"}},
	{"no head", `delete from /*prefix*/head`, []string{"one-row"}},
	{"no epochs", `delete from /*prefix*/epochs`, []string{"one-row"}},
	{"a link to nothing", `update /*prefix*/links set position = 99 where version = 2`, []string{"link-event"}},
	{"a link beyond the end", `update /*prefix*/links set version = 9 where version = 3`, []string{"link-version"}},
	{"a link to an own event", `update /*prefix*/links set position = 7 where version = 2`, []string{"link-own"}},
	{"a version used twice", `update /*prefix*/links set version = 4 where version = 3`, []string{"version-twice"}},
	{"epochs behind", `update /*prefix*/epochs set epoch = 3`, []string{"sequence-behind", "subscription-epoch"}},
}

// bothDamage is that to tables which are the same in both, with "table." before their names.
var bothDamage = []damage{
	{"a checkpoint beyond the head", `update table.subscriptions set checkpoint = 11 where stream = '$all' and name = 'r'`, []string{"subscription-checkpoint"}},
	{"a checkpoint beyond the stream", `update table.subscriptions set checkpoint = 6 where stream = 'a'`, []string{"subscription-checkpoint"}},
	{"another event where one was seen", `update table.subscriptions set seen = 1, seen_id = (select event_id from table.events where stream_id = 2 and version = 1)
		where stream = '$all' and name = 'r'`, []string{"subscription-seen"}},
	{"another event in the stream where one was seen", `update table.subscriptions set seen = 1, seen_id = (select event_id from table.events where stream_id = 2 and version = 1)
		where stream = 'a'`, []string{"subscription-seen"}},
	{"a negative checkpoint", `update table.subscriptions set checkpoint = -1 where stream = 'a'`, []string{"subscription-checkpoint"}},
	{"a checkpoint in another stream", `update table.subscriptions set stream_id = 2 where stream = 'a'`, []string{"subscription-stream"}},
	{"a checkpoint in a stream of the future", `update table.subscriptions set stream_id = 77 where stream = 'a'`, []string{"subscription-stream"}},
	{"a checkpoint of all in a stream", `update table.subscriptions set stream_id = 1 where name = 'r' and stream = '$all'`, []string{"subscription-stream"}},
	{"an epoch of the future", `update table.subscriptions set epoch = 1000 where stream = 'a'`, []string{"sequence-behind", "subscription-epoch"}},
	{"a partition lost", `delete from table.subscriptions where name = '$p/1/1'`, []string{"partition-missing"}},
	{"a partition of another generation", `update table.subscriptions set name = '$p/2/1' where name = '$p/1/1'`, []string{"partition-missing", "partition-unknown"}},
	{"a partition too many", `update table.projections set partitions = 1`, []string{"partition-unknown"}},
	{"no partitions", `update table.projections set partitions = 0`, []string{"partition-unknown", "projection-row"}},
	{"partitions of a projection that was replaced", `update table.projections set replaced_by = 'q'`, []string{"partition-unknown"}},
	{"a projection lost", `delete from table.projections`, []string{"parked-projection", "partition-unknown"}},
	{"a subscription lost", `delete from table.subscriptions where stream = 'a' and name = 'r'`, []string{"parked-subscription"}},
	{"a snapshot", `update table.snapshots set version = -1`, []string{"snapshot-row"}},
}

// damaged fills the store of d and damages it.
func damaged(t *testing.T, d *database.Database, sql string) {
	t.Helper()
	small(t, d)
	found, _ := verify(t, d, pageSize)
	require.Empty(t, found)
	exec(t, d, unguard[d.Kind])
	exec(t, d, sql)
}

func TestDamageIsFound(t *testing.T) {
	t.Parallel()
	for kind, own := range map[database.Kind][]damage{database.PostgreSQL: postgresDamage, database.SQLite: sqliteDamage} {
		var seen []string
		for _, c := range append(inBoth(kind), own...) {
			seen = append(seen, c.want...)
			t.Run(string(kind)+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				d := databasetest.New(t, kind)
				damaged(t, d, c.sql)
				for _, size := range []int64{1, pageSize} {
					found, s := verify(t, d, size)
					checks := map[string]bool{}
					for _, v := range found {
						checks[v.Check] = true
						require.NotContains(t, v.What, "\n")
						require.NotContains(t, v.What, "%!")
					}
					want := map[string]bool{}
					for _, check := range c.want {
						want[check] = true
					}
					require.Equal(t, want, checks, "pages of %d: %+v", size, found)
					require.Equal(t, int64(len(found)), s.Violations)
					if size == pageSize {
						for _, v := range found {
							t.Log(v.Check + ": " + v.What)
						}
					}
				}
			})
		}
		steps := map[database.Kind][]step{database.PostgreSQL: postgresSteps, database.SQLite: sqliteSteps}[kind]
		for _, s := range steps {
			for _, check := range s.checks {
				require.Contains(t, seen, check, "nothing shows that %s finds anything in %s", check, kind)
			}
		}
	}
}

// inBoth returns bothDamage for a kind.
func inBoth(kind database.Kind) []damage {
	list := make([]damage, len(bothDamage))
	for i, c := range bothDamage {
		placeholder := "/*schema.*/"
		if kind == database.SQLite {
			placeholder = "/*prefix*/"
		}
		list[i] = damage{c.name, strings.ReplaceAll(c.sql, "table.", placeholder), c.want}
	}
	return list
}

// TestUnplacedEventsAreFixed does what is said about them: once their positions are free, once they never had any.
func TestUnplacedEventsAreFixed(t *testing.T) {
	t.Parallel()
	d := databasetest.New(t, database.PostgreSQL)
	damaged(t, d, `delete from /*schema.*/log where append_seq = 4`)
	es := open(t, d)
	require.NoError(t, es.InTx(t.Context(), func(tx *sql.Tx) error {
		_, err := es.WithTx(tx).Append(t.Context(), "b", store.Any, events(2)...)
		require.NoError(t, err)
		_, err = es.Append(t.Context(), "a", store.Any, events(1)...)
		require.NoError(t, err)
		tick(t, es)
		exec(t, d, `delete from /*schema.*/holes`)
		return nil
	}))
	tick(t, es)
	found, _ := verify(t, d, pageSize)
	require.Len(t, found, 2)
	for _, v := range found {
		require.Equal(t, "event-unplaced", v.Check)
	}
	exec(t, d, `insert into /*schema.*/log (position, append_seq, n) values (6, 4, 1); insert into /*schema.*/holes (first_seq, last_seq) values (9, 9)`)
	tick(t, es)
	found, _ = verify(t, d, pageSize)
	require.Empty(t, found)
}
