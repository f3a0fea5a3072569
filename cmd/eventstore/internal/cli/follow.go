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
		Resumed: func(u transfer.Unfinished) { a.tell("%s\n", u) },
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
		a.tell("%d %s\n", n.Count, n.Text)
	}
	for _, name := range source.Anew() {
		a.tell("subscription %s: set to 0, it is given all events of the stream that has the name now\n", name)
	}
	if a.json() {
		return a.object(followed{result, time.Since(begun).Seconds()})
	}
	return a.say("%s", followedText(result))
}

func followedText(r transfer.Followed) string {
	text := fmt.Sprintf("imported %d events, %d streams, %d links, %d snapshots", r.Events, r.Streams, r.Links, r.Snapshots)
	if r.Gone > 0 {
		text += fmt.Sprintf("; removed %d streams that were hard deleted", r.Gone)
	}
	if r.Removed > 0 {
		text += fmt.Sprintf("; removed %d events that went with links to them", r.Removed)
	}
	if r.Finished {
		return text + fmt.Sprintf(", %d subscriptions\nthe store has all of %s up to position %d, and follows it no more", r.Subscriptions, r.Identity, r.Head)
	}
	return text + fmt.Sprintf("\nthe store follows %s, and has all up to position %d\n"+
		"run it again for what is new, and with --finish to end that: until then the library refuses to write to the store", r.Identity, r.Head)
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
		a.tell("%d positions behind, at %d of %d\n", head-position, position, head)
	}
}
