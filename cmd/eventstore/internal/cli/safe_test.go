package cli

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/store"
)

// evil moves the cursor, changes colours, forges a line, and turns the direction of what is read.
const evil = "a\x1b[2J\x1b]0;x\a\r\nevil: b\x7f\u009b31m\u202ec\u2028"

// assertSafe checks that nothing but line ends moves the cursor, and that no line is forged.
func assertSafe(t *testing.T, what, text string) {
	t.Helper()
	for _, r := range text {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028') {
			t.Errorf("%s prints %q", what, text)
			return
		}
	}
	assert.NotContains(t, text, "\nevil:", what)
}

// TestEscape: a line of JSON for a terminal is safe, and the same JSON.
func TestEscape(t *testing.T) {
	t.Parallel()
	line := "{\t\"a\":\"\x7f\u009bé\u202e\U0001F600\"}\n"
	escaped := escape(line)
	assert.Equal(t, "{\t\"a\":\"\\u007f\\u009bé\\u202e\U0001F600\"}\n", escaped)
	assert.True(t, sameJSON([]byte(line), []byte(escaped)))
}

// TestNames: no command prints what is in a name, a type, a key or a handler's error so that a terminal obeys it.
func TestNames(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		es := store.New(d.Backend, &store.Options{PollInterval: 10 * time.Millisecond})
		defer es.Close() //nolint:errcheck // the test's
		id, correlation := uuid.New(), uuid.New()
		events := []store.Event{
			{ID: id, Type: evil, Data: encoded{"json", "\"\u009b\x7f\""}, CorrelationID: correlation, Metadata: encoded{"json", "\"\u009b\""}},
			{Type: evil, Data: encoded{evil[1:20], "\x00"}},
		}
		_, err := store.New(d.Backend, &store.Options{Serializer: verbatim{}, MetadataSerializer: verbatim{}}).Append(t.Context(), evil, store.Any, events...)
		require.NoError(t, err)
		require.NoError(t, es.RecordSnapshot(t.Context(), store.Snapshot{SourceID: evil, Version: 1, Type: evil, Data: "\x1b"}))
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		ended := make(chan error, 1)
		go func() {
			ended <- es.Consume(ctx, evil, evil, func(context.Context, store.Recorded) error { return errors.New(evil) },
				&store.ConsumeOptions{OnError: store.RetryThen(1, store.Park), SubscribeOptions: store.SubscribeOptions{CheckpointThreshold: 1}})
		}()
		parkAll(t, es, len(events)+1, evil+"2")
		require.Eventually(t, func() bool {
			list, err := es.Parked(ctx, evil, &store.ParkedFilter{Stream: evil})
			return err == nil && len(list) == 2
		}, time.Minute, 10*time.Millisecond)
		stop()
		require.ErrorIs(t, <-ended, context.Canceled)

		printed := 0
		for _, args := range [][]string{
			{"streams"}, {"stream", "info", evil}, {"stream", "read", evil}, {"all"}, {"event", id.String()}, {"tail", "-n", "2"}, {"stats"},
			{"trace", correlation.String(), "--index"}, {"snapshot", "show", evil}, {"subscriptions"}, {"projections"}, {"projections", "--partitions"},
			{"subscriptions", "parked", "list", evil, evil}, {"projections", "parked", "list", "p"}, {"doctor"}, {"verify"}, {"migrations"},
			{"subscriptions", "parked", "replay", evil, evil}, {"subscriptions", "parked", "discard", evil, evil}, {"stream", "link", evil + "3", id.String(), "--expected", "any"},
			{"subscriptions", "parked", "discard", evil, evil, "--yes"}, {"subscriptions", "reset", evil, evil, "--to", "1"},
			{"subscriptions", "reset", evil, evil, "--to", "1", "--yes"}, {"subscriptions", "delete", evil, evil, "--yes"}, {"snapshot", "delete", evil},
			{"stream", "delete", evil, "--expected", "7"}, {"stream", "delete", evil, "--expected", "2"}, {"stream", "read", evil},
			{"stream", "delete", evil, "--expected", "any", "--hard"}, {"stream", "delete", evil, "--expected", "any", "--hard", "--yes"},
			{"stream", "info", evil}, {"snapshot", "show", evil}, {"subscriptions", "delete", evil, evil}, {"projections", "delete", evil},
			{"projections", "reset", evil, "--tables-are-empty"}, {evil}, {"stream", evil}, {"streams", "--" + evil}, {"streams", "-o", evil}, {"event", evil},
			{"streams", "--sort", evil}, {"stream", "append", evil, "--expected", evil}, {"export", "/no/such/" + evil}, {"import", "/no/such/" + evil},
			{"projections", "reset", "p", "--yes", "--sql", evil},
		} {
			r := on(d, args...)
			assertSafe(t, strings.Join(args, " "), r.out+r.err)
			printed += strings.Count(r.out+r.err, "\uFFFD") + strings.Count(r.err, `\x1b`)
		}
		assert.Greater(t, printed, 100, "the names are printed")
		r := run("", "drop", "--yes", "--db", flagsOf(d)[1], "--schema", evil)
		assertSafe(t, "drop", r.out+r.err)
		r = run("", "streams", "--db", "/no/such/"+evil)
		assertSafe(t, "--db", r.out+r.err)
	})
}
