package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/store"
)

func (a *app) streamAppend() *cobra.Command {
	var expected string
	var newIDs bool
	c := &cobra.Command{
		Use:   "append STREAM",
		Short: "Append events that come as JSON lines",
		Long: `Append events to a stream, all or none. They come on the standard input, one JSON object per line, with "type" and
"data", and if wanted "id", "metadata", "causation_id", "correlation_id" and "created_at".

"type_version" is the version of the event type, if it is not 1: programs upcast older ones. "content_type" says the same in
full, as the library stores it: "json;v=2". Bytes that are no JSON come as "data_base64" and "metadata_base64".

Lines of "stream read -o json" are appended as they are: with their ids, types, content types, times, data and metadata, byte by
byte. Only their places in a stream are new: "number", "stream" and "version" are ignored. A store has each id once, so copy to
another store, or set --new-ids.`,
		Example: `  echo '{"type":"Deposited","data":{"amount":5}}' | eventstore stream append account-7 --expected 3
  echo '{"type":"Deposited","type_version":2,"data":{"cents":500}}' | eventstore stream append account-7 --expected any
  eventstore stream read account-7 -o json | eventstore stream append account-7 --db copy.db --expected no-stream`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			version, err := parseExpected(expected)
			if err != nil {
				return err
			}
			if terminal(a.in) {
				a.note("type events, one JSON object per line, and end with Ctrl-D")
			}
			events, err := readLines(a.in)
			if err != nil {
				return err
			}
			if newIDs {
				for i := range events {
					events[i].ID = uuid.Nil
				}
			}
			return a.with(cmd.Context(), func(d *database.Database, _ *store.Store) error {
				es := store.New(d.Backend, &store.Options{Serializer: verbatim{}, MetadataSerializer: verbatim{}, Logger: slog.New(slog.DiscardHandler)})
				r, err := es.Append(cmd.Context(), args[0], version, events...)
				if err != nil {
					return err
				}
				return a.wrote(r)
			})
		},
	}
	expectedFlag(c, &expected)
	c.Flags().BoolVar(&newIDs, "new-ids", false, "give the events new ids, to copy them within a store; ids of causes stay as they are")
	return c
}

// line is an event as append takes it.
type line struct {
	ID             uuid.UUID       `json:"id"`
	Type           string          `json:"type"`
	TypeVersion    *int            `json:"type_version"`
	ContentType    string          `json:"content_type"`
	Data           json.RawMessage `json:"data"`
	DataBase64     *[]byte         `json:"data_base64"`
	Metadata       json.RawMessage `json:"metadata"`
	MetadataBase64 *[]byte         `json:"metadata_base64"`
	CausationID    uuid.UUID       `json:"causation_id"`
	CorrelationID  uuid.UUID       `json:"correlation_id"`
	CreatedAt      time.Time       `json:"created_at"`

	// The place of an event that was read, and is ignored.
	Number  *int64  `json:"number"`
	Stream  *string `json:"stream"`
	Version *int64  `json:"version"`
}

// readLines reads events, one JSON object per line.
func readLines(in io.Reader) (list []store.Event, err error) {
	lines := bufio.NewReader(in)
	for n := 1; ; n++ {
		text, err := lines.ReadBytes('\n')
		if trimmed := bytes.TrimSpace(text); len(trimmed) > 0 {
			e, err := readLine(trimmed)
			if err != nil {
				return nil, usage("line %d %v", n, err)
			}
			list = append(list, e)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	if len(list) == 0 {
		return nil, usage("there is no event on the standard input: want one JSON object per line, such as {\"type\":\"Deposited\",\"data\":{\"amount\":5}}")
	}
	return list, nil
}

// readLine reads an event. The error says what its line is or has.
func readLine(text []byte) (e store.Event, err error) {
	var l line
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return e, fmt.Errorf("is no event: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return e, errors.New("has something behind the event")
	}
	if l.Type == "" || l.Data == nil && l.DataBase64 == nil {
		return e, errors.New(`has no type or no data; an event looks like {"type":"Deposited","data":{"amount":5}}`)
	}
	if l.Version != nil && l.Number == nil {
		return e, errors.New(`has "version", which is the place in a stream that was read; the version of the event type is "type_version"`)
	}
	e = store.Event{ID: l.ID, Type: l.Type, CausationID: l.CausationID, CorrelationID: l.CorrelationID, CreatedAt: l.CreatedAt}
	dataType, metadataType, err := l.contentTypes()
	if err != nil {
		return e, err
	}
	if e.Data, err = encode("data", dataType, l.Data, l.DataBase64); err != nil {
		return e, err
	}
	if l.Metadata != nil || l.MetadataBase64 != nil {
		e.Metadata, err = encode("metadata", metadataType, l.Metadata, l.MetadataBase64)
	}
	return e, err
}

// contentTypes returns those of the data and the metadata.
func (l line) contentTypes() (data, metadata string, err error) {
	data, metadata = store.JSON, store.JSON
	switch {
	case l.TypeVersion != nil && l.ContentType != "":
		return "", "", errors.New("has both type_version and content_type: leave one of them out")
	case l.TypeVersion != nil && *l.TypeVersion < 1:
		return "", "", fmt.Errorf("has type_version %d: the first version of a type is 1", *l.TypeVersion)
	case l.TypeVersion != nil && *l.TypeVersion > 1:
		data = fmt.Sprintf("%s;v=%d", store.JSON, *l.TypeVersion)
	case l.ContentType != "":
		var both bool
		if data, metadata, both = strings.Cut(l.ContentType, ","); !both {
			metadata = store.JSON
		}
	}
	return data, metadata, nil
}

// encoded is data or metadata with its content type, as the store keeps it.
type encoded struct {
	contentType string
	data        string
}

// encode returns what a line gives as JSON or in base64. Both may be given if they are the same.
func encode(name, contentType string, value json.RawMessage, base64 *[]byte) (encoded, error) {
	bytes := []byte(value)
	if base64 != nil {
		bytes = *base64
		if value != nil && !sameJSON(value, bytes) {
			return encoded{}, fmt.Errorf("has other %[1]s in %[1]s than in %[1]s_base64: remove one of them", name)
		}
	}
	if store.IsJSON(contentType) && !json.Valid(bytes) {
		return encoded{}, fmt.Errorf("has %s that is no JSON: say in content_type how it is encoded", name)
	}
	return encoded{contentType, string(bytes)}, nil
}

// sameJSON reports whether two texts are JSON for the same value.
func sameJSON(a, b []byte) bool {
	var values [2]any
	for i, text := range [][]byte{a, b} {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if d.Decode(&values[i]) != nil {
			return false
		}
	}
	return reflect.DeepEqual(values[0], values[1])
}

// verbatim is a serializer that stores what is encoded already.
type verbatim struct{}

// Encode implements [store.Serializer].
func (verbatim) Encode(_ string, value any) ([]byte, string, error) {
	e, ok := value.(encoded)
	if !ok {
		return nil, "", fmt.Errorf("a %T is not encoded", value)
	}
	return []byte(e.data), e.contentType, nil
}

// Decode implements [store.Serializer]: events are the same if their bytes are.
func (verbatim) Decode(_, contentType string, data []byte, into any) error {
	value, ok := into.(*any)
	if !ok {
		return store.ErrUnknownType
	}
	*value = encoded{contentType, string(data)}
	return nil
}
