package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database/databasetest"
	"github.com/eventstore-go/eventstore/serializer"
	"github.com/eventstore-go/eventstore/store"
)

// splitLines returns the lines of a text.
func splitLines(text string) []string { return strings.Split(strings.TrimSuffix(text, "\n"), "\n") }

// contents are data and metadata in all forms that a store may hold.
func contents() (list []store.Event) {
	text := func(contentType, data string) encoded { return encoded{contentType, data} }
	for _, data := range []encoded{
		text("json", `{"amount":5}`), text("json", `{"owner":"Zoë <&>","e":"\u003c\u2028"}`), text("json", "{ \"amount\" : 1.50,\n\t\"amount\":2e0 }\n"),
		text("json;v=3", `null`), text("json", ` [1, 2] `), text("json", `12345678901234567890.000`), text("json", "\"\x7f\u009b\""),
		text("msgpack;v=2", "\x81\xa1a\x05\x00\xff\r\n"), text("protobuf", ""), text("msgpack", "7"), text("json+zstd", "\x28\xb5\x2f\xfd"),
	} {
		list = append(list, store.Event{ID: uuid.New(), Type: "Deposited, \"of\" Zoë\t", Data: data, CreatedAt: time.Date(2020, 2, 29, 12, 0, 0, len(list)*1000, time.UTC)})
	}
	list[0].CausationID, list[0].CorrelationID = uuid.New(), uuid.New()
	list[1].Metadata = text("json", `{"by": "me"}`)
	list[2].Metadata = text("json", "{\n}")
	list[3].Metadata = text("json", `null`)
	list[7].Metadata = text("msgpack+aes", "\x00\x01")
	list[8].Metadata = text("protobuf", "")
	return list
}

// readAll returns the events of a stream, without their serializer.
func readAll(t *testing.T, d *database.Database, stream string) (list []string) {
	t.Helper()
	for e, err := range store.New(d.Backend, nil).Stream(t.Context(), stream, nil) {
		require.NoError(t, err)
		metadata := "none"
		if e.Metadata != nil {
			metadata = fmt.Sprintf("%q", e.Metadata)
		}
		list = append(list, fmt.Sprintf("%d %s %q %s %s %s %q %q %s", e.Number, e.ID, e.Type, e.CausationID, e.CorrelationID, e.CreatedAt.Format(time.RFC3339Nano), e.ContentType, e.Data, metadata))
	}
	return list
}

// TestRoundTrip: what "stream read -o json" prints, "stream append" writes to another store as it was.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, kinds := range [][2]database.Kind{{database.PostgreSQL, database.SQLite}, {database.SQLite, database.PostgreSQL}} {
		t.Run(string(kinds[0])+" to "+string(kinds[1]), func(t *testing.T) {
			t.Parallel()
			from, to := databasetest.New(t, kinds[0]), databasetest.New(t, kinds[1])
			events := contents()
			_, err := store.New(from.Backend, &store.Options{Serializer: verbatim{}, MetadataSerializer: verbatim{}}).Append(t.Context(), "s", store.NoStream, events...)
			require.NoError(t, err)
			text := must(t, from, "stream", "read", "s", "-o", "json")
			require.Len(t, splitLines(text), len(events))
			into := func(d *database.Database, args ...string) ran {
				return run(text, append(append([]string{"stream", "append"}, args...), flagsOf(d)...)...)
			}
			r := into(to, "s", "--expected", "no-stream")
			require.Equal(t, codeOK, r.code, r.err)
			want := readAll(t, from, "s")
			require.Equal(t, want, readAll(t, to, "s"))
			require.Equal(t, text, must(t, to, "stream", "read", "s", "-o", "json"))

			r = into(to, "s", "--expected", "no-stream", "-o", "json")
			require.Equal(t, codeOK, r.code, r.err)
			assert.Contains(t, r.out, `"retried":true`, "the same append again")
			r = into(from, "copy", "--expected", "no-stream")
			require.Equal(t, codeConflict, r.code, r.err)
			assert.Contains(t, r.err, "set --new-ids", "a store has each id once")
			r = into(from, "copy", "--expected", "no-stream", "--new-ids")
			require.Equal(t, codeOK, r.code, r.err)
			require.Equal(t, want, readAll(t, from, "s"))
			copied := readAll(t, from, "copy")
			require.Len(t, copied, len(want))
			for i := range want {
				assert.NotEqual(t, want[i], copied[i])
				assert.Equal(t, strings.Split(want[i], " ")[2:], strings.Split(copied[i], " ")[2:], "all but the id")
			}
		})
	}
}

type (
	depositedV1 struct{ Amount int }
	deposited   struct{ Cents int }
)

// TestTypeVersion: an event is of the version of its type that the line says, so that upcasters change only older ones.
func TestTypeVersion(t *testing.T) {
	t.Parallel()
	types := serializer.NewTypes()
	serializer.RegisterVersion[depositedV1](types, "Deposited", 1)
	serializer.RegisterVersion[deposited](types, "Deposited", 2)
	serializer.Upcast(types, func(old depositedV1) (deposited, error) { return deposited{old.Amount * 100}, nil })
	databasetest.Each(t, func(t *testing.T, d *database.Database) {
		in := `{"type":"Deposited","data":{"Amount":5}}
{"type":"Deposited","type_version":2,"data":{"Cents":7}}
{"type":"Deposited","content_type":"json;v=2","data":{"Cents":8}}
{"type":"Deposited","type_version":1,"data":{"Amount":9}}
`
		r := run(in, append([]string{"stream", "append", "s", "--expected", "any"}, flagsOf(d)...)...)
		require.Equal(t, codeOK, r.code, r.err)
		var cents []int
		for e, err := range store.New(d.Backend, &store.Options{Serializer: serializer.JSON(types)}).Stream(t.Context(), "s", nil) {
			require.NoError(t, err)
			v, err := store.Decode[deposited](e)
			require.NoError(t, err)
			cents = append(cents, v.Cents)
		}
		require.Equal(t, []int{500, 7, 8, 900}, cents)
	})
}

// TestLinesRefused: a line that is not what it seems is refused, with what to write instead.
func TestLinesRefused(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"type":"A","data":1,"version":2}`:                                      `the version of the event type is "type_version"`,
		`{"type":"A","data":1,"type_version":0}`:                                 "the first version of a type is 1",
		`{"type":"A","data":1,"type_version":2,"content_type":"json;v=2"}`:       "leave one of them out",
		`{"type":"A","data_base64":"AA=="}`:                                      "data that is no JSON",
		`{"type":"A","data":1,"data_base64":"Mg=="}`:                             "has other data in data than in data_base64",
		`{"type":"A","data":1,"metadata_base64":"AA=="}`:                         "metadata that is no JSON",
		`{"type":"A","content_type":"msgpack","data_base64":"?"}`:                "is no event: illegal base64",
		`{"type":"A","content_type":"json","data":1} {"type":"A","data":1}`:      "something behind the event",
		"{\"type\":\"A\",\"data\":1}\n{\"type\":\"A\",\"data\":1":                "line 2 is no event",
		`{"type":"A","metadata":1}`:                                              "has no type or no data",
		`{"number":1,"stream":"s","version":1,"type":"A","data":1,"amount":"5"}`: `unknown field "amount"`,
	} {
		_, err := readLines(strings.NewReader(in))
		var wrong *usageError
		require.ErrorAs(t, err, &wrong, in)
		assert.Contains(t, err.Error(), want, in)
	}
}
