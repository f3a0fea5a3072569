package verify

// step is one statement, and the checks that it makes.
type step struct {
	query  string
	pages  string   // the statement that says where a page ends; "" if there are no pages
	checks []string // in the order in which they are reported
}

var postgresSteps = []step{
	{"one_row", "", []string{"one-row"}},
	{"sequences", "", []string{"sequence-behind"}},
	{"stream_versions", "streams_page", []string{"stream-version", "stream-gap", "event-without-stream"}},
	{"stream_order", "streams_page", []string{"stream-order"}},
	{"appends", "appends_page", []string{"append-events", "append-stream", "append-versions", "event-unplaced"}},
	{"data_sizes", "appends_page", []string{"data-size"}},
	{"log_rows", "log_page", []string{"log-row", "log-overlap"}},
	{"log_gaps", "", []string{"log-gap"}},
	{"holes", "", []string{"hole-range", "hole-overlap", "hole-in-log"}},
	{"links", "streams_page", append([]string{"link-unmarked"}, linkChecks...)},
	{"subscriptions", "", subscriptionChecks},
	{"partitions", "", partitionChecks},
	{"parked", "", []string{"parked-projection", "parked-subscription"}},
	{"snapshots", "", []string{"snapshot-row"}},
	{"snapshot_sizes", "", []string{"snapshot-size"}},
}

var sqliteSteps = []step{
	{"one_row", "", []string{"one-row"}},
	{"sequences", "", []string{"sequence-behind"}},
	{"head", "", []string{"head-behind", "head-deleting"}},
	{"stream_versions", "streams_page", []string{"stream-version", "stream-gap"}},
	{"streams_missing", "streams_page", []string{"event-without-stream"}},
	{"stream_order", "streams_page", []string{"stream-order"}},
	{"appends", "events_page", []string{"append-events", "append-stream", "append-versions"}},
	{"positions", "events_page", []string{"position-row", "position-gap"}},
	{"links", "streams_page", linkChecks},
	{"subscriptions", "", subscriptionChecks},
	{"partitions", "", partitionChecks},
	{"parked", "", []string{"parked-projection", "parked-subscription"}},
	{"snapshots", "", []string{"snapshot-row"}},
}

var (
	linkChecks         = []string{"link-stream", "link-version", "link-event", "link-own", "version-twice"}
	subscriptionChecks = []string{"subscription-checkpoint", "subscription-seen", "subscription-stream", "subscription-epoch"}
	partitionChecks    = []string{"projection-row", "partition-missing", "partition-unknown"}
)

// fixes says what to do about violations of a check, where there is something to do.
var fixes = map[string]string{
	"data-size":               "hard-delete its stream, or put other data in its place with the trigger guard disabled: reads of it fail, or take that much memory",
	"event-unplaced":          "insert its row into log if the positions it had are free; else its number into holes, without a fence: the next tick gives it positions",
	"head-deleting":           "set head.deleting to null: it lets events of that stream be deleted",
	"hole-in-log":             "delete the row of holes: the log counts",
	"link-unmarked":           "set streams.linked of the stream to true: its links are not read",
	"parked-projection":       "delete the rows of parked: nobody reads them",
	"parked-subscription":     "delete the rows of parked: nobody reads them",
	"partition-missing":       "reset the projection: it can't go on without all of its partitions",
	"partition-unknown":       "delete the row of subscriptions: nobody runs it",
	"sequence-behind":         "set the sequence to the highest number in use before anything is written",
	"subscription-checkpoint": "reset the subscription, or the projection: it waits for events that it takes for read",
	"subscription-epoch":      "reset the subscription, or the projection",
	"subscription-seen":       "reset the subscription to a checkpoint that both histories have, or reset the projection: events it has read were lost, and others took their places",
	"subscription-stream":     "reset the subscription, or the projection",
	"snapshot-row":            "delete the snapshot: the next one is made from the events",
	"snapshot-size":           "delete the snapshot: the next one is made from the events",
}
