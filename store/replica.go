package store

// replicaOf returns the replica of a storage, or nil.
func replicaOf(s Storage) Storage {
	if r, ok := s.(Replicated); ok {
		return r.Replica()
	}
	return nil
}

// Primary returns the same Store, but its reads ask the primary, so that they see everything that was committed before the call. Without a
// replica, such as postgres.Options.Reads, that is what every Store does.
//
// With a replica, these calls read it and may lag: [Store.Stream], [Store.All], [Store.Page], [Store.Event], [Store.Head],
// [Store.PositionAt], [Store.VersionAt], [Store.StreamInfo], [Store.Streams], [Store.Types], [Store.ReadSnapshot] and [Store.Correlation]. Subscriptions, watchers and projections, which the
// Store and the result share, read their pages there. Everything else asks the primary: all writes and what they are judged by, leases
// and checkpoints, lists of subscriptions and projections, [Store.WaitFor], and what runs in a transaction.
//
// It is safe to append with an expected version that comes from a read that lags: the append returns a [WrongExpectedVersionError] then.
// Read the stream from Primary before you try again, since the replica may still lag. Read from Primary, too, what this program has just
// written. Closing the result closes the Store.
func (s *Store) Primary() *Store {
	p := *s
	p.reads, p.replicated = s.storage, false
	return &p
}
