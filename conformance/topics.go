package conformance

import "slices"

// topic is a list of cases that belong together. INDEX.md has a section for each.
type topic struct {
	title string
	cases []testCase
}

// topics returns all topics, from what every backend needs to what only some have.
func topics() []topic {
	return []topic{
		{"Appends", appendCases},
		{"Appends to several streams", slices.Concat(appendAllCases, appendAllRaces)},
		{"Retries of an append", retryCases},
		{"What an event holds", eventCases},
		{"Reads of a stream", readCases},
		{"Pages bounded in bytes", bytesCases},
		{"Reads of a stream that is replaced", pinnedCases},
		{"Reads of all events", allCases},
		{"Past positions and versions", slices.Concat(positionCases, versionAtCases)},
		{"Reads with a filter", chooseCases},
		{"Event types", typeCases},
		{"Links", linkCases},
		{"Deletes", deleteCases},
		{"Expected versions", matrixCases},
		{"Undeletes", undeleteCases},
		{"Lists of streams", streamsCases},
		{"Snapshots", snapshotCases},
		{"Limits", limitCases},
		{"Cancelled calls", cancelCases},
		{"Concurrent writes", concurrentCases},
		{"Stores on one storage", storeCases},
		{"Transactions of the caller", txCases},
		{"Open transactions beside others", openTxCases},
		{"Commits between the statements of a read", betweenCases},
		{"Leases", leaseCases},
		{"Checkpoints", checkpointCases},
		{"Times of arrival", arrivalCases},
		{"Checkpoints and the history that they belong to", seenCases},
		{"Filtered reads", filterCases},
		{"Subscriptions: from history to live", subCatchUpCases},
		{"Subscriptions: where they begin", subStartCases},
		{"Subscriptions: sizes, limits and times", subSizeCases},
		{"Subscriptions: choosing and mapping events", subChoiceCases},
		{"Subscriptions: acknowledgements", subAckCases},
		{"Subscriptions: several subscribers", subCompeteCases},
		{"Subscriptions: fairness", subFairCases},
		{"Subscriptions: failures", subFailureCases},
		{"Subscriptions: deleted streams and events", subDeletedCases},
		{"Subscriptions: streams created again", subRenewedCases},
		{"Subscriptions: several processes", subLeaseCases},
		{"Subscriptions: states, lists and resets", subManageCases},
		{"Subscriptions: hints", subNotifyCases},
		{"Subscriptions: watchers", subWatchCases},
		{"Subscriptions: Consume", subConsumeCases},
		{"Subscriptions: parked events", subParkCases},
		{"Subscriptions: calls that come late", subLateCases},
		{"Projections", projectCases},
		{"Projections: parked events, resets, checkpoints", projectManageCases},
		{"Projections: streams created again, and links", projectRenewedCases},
		{"Projections: deleted streams", projectDeletedCases},
	}
}

// cases returns the cases of all topics.
func cases() []testCase {
	var all []testCase
	for _, t := range topics() {
		all = append(all, t.cases...)
	}
	return all
}
