package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/commanded"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
)

// behindEvery is how often --follow prints how far behind it is.
const behindEvery = 5 * time.Second

// followed is what --from-commanded prints as JSON.
type followed struct {
	transfer.Followed
	Seconds float64 `json:"seconds"`
}

// follow takes what is new in a store of commanded/eventstore.
func (a *app) follow(ctx context.Context, d *database.Database, from *elsewhere, batch int) (err error) {
	begun := time.Now()
	source, _, err := a.source(ctx, from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	options := transfer.FollowOptions{
		Forever: from.follow, Finish: from.finish, Batch: batch,
		Resumed: func(u transfer.Unfinished) { a.note("%s", u) },
	}
	if from.follow {
		options.Behind = a.printBehind()
	}
	end := func() {}
	if !from.follow {
		options.Progress, end = a.progress("importing")
	}
	result, err := transfer.Follow(ctx, d, source, options)
	end()
	if err != nil {
		return err
	}
	for _, n := range commanded.Notes(result.LeftOut) {
		a.note("%s: %d", n.Text, n.Count)
	}
	for _, name := range source.Anew() {
		a.note("subscription %s: set to 0, it is given all events of the stream that has the name now", name)
	}
	if a.json() {
		return a.object(followed{result, time.Since(begun).Seconds()})
	}
	for _, line := range followedText(result) {
		if err := a.say("%s", line); err != nil {
			return err
		}
	}
	return nil
}

func followedText(r transfer.Followed) []string {
	text := fmt.Sprintf("imported %s, %s, %s, %s", count(r.Events, "event"), count(r.Streams, "stream"), count(r.Links, "link"), count(r.Snapshots, "snapshot"))
	if r.Gone > 0 {
		text += fmt.Sprintf("; removed %s that had been hard deleted", count(r.Gone, "stream"))
	}
	if r.Removed > 0 {
		text += fmt.Sprintf("; removed %s whose links were removed", count(r.Removed, "event"))
	}
	if r.Finished {
		return []string{
			text + ", " + count(r.Subscriptions, "subscription"),
			fmt.Sprintf("the store has all of %s up to position %d, and follows it no more", r.Identity, r.Head),
		}
	}
	return []string{
		text,
		fmt.Sprintf("the store follows %s, and has all up to position %d", r.Identity, r.Head),
		"run it again for what is new, and with --finish to end that: until then the library refuses to write to the store",
	}
}

// printBehind returns what prints every few seconds how far behind the store is, and when it has caught up first.
func (a *app) printBehind() func(position, head int64) {
	var last time.Time
	caughtUp := false
	return func(position, head int64) {
		if time.Since(last) < behindEvery && (caughtUp || position < head) {
			return
		}
		last = time.Now()
		caughtUp = caughtUp || position >= head
		a.note("%s behind, at %d of %d", count(head-position, "position"), position, head)
	}
}
