package serializer_test

import (
	"testing"

	"github.com/eventstore-go/eventstore/serializer"
)

// FuzzContentType: whatever stands in the column of content types, decoding neither panics nor takes one for another.
func FuzzContentType(f *testing.F) {
	for _, seed := range []string{"json", "json;v=2", "json;v=99999999999999999999", "json;v=-1", "json+", "+", ";v=2", "json;v=2+zstd+aes", "json,json", "", "json;v=2;v=3"} {
		f.Add("customer.registered", seed, []byte(`{"Name":"Ada Lovelace"}`))
	}
	s := serializer.JSON(evolved())
	f.Fuzz(func(t *testing.T, eventType, contentType string, data []byte) {
		values, err := s.DecodeAll(eventType, contentType, data)
		if err == nil && contentType != "json" && contentType != "json;v=2" && contentType != "json;v=3" {
			t.Fatalf("%q decodes to %v", contentType, values)
		}
	})
}

// FuzzUpcast: no data make a chain of upcasters panic, and what comes out is of a type of today.
func FuzzUpcast(f *testing.F) {
	for _, seed := range []string{`"Ada Lovelace"`, `{"Name":"Ada Lovelace"}`, `{"Country":"UK","Amount":"7"}`, `""`, `null`, `{}`, `[`, `{"Name":1}`} {
		for version := range byte(3) {
			f.Add(version, []byte(seed))
		}
	}
	s := serializer.JSON(evolved())
	contentTypes := []string{"json", "json;v=2", "json;v=3"}
	f.Fuzz(func(t *testing.T, version byte, data []byte) {
		values, err := s.DecodeAll("customer.registered", contentTypes[int(version)%3], data)
		for _, v := range values {
			if _, ok := v.(registeredV3); !ok && err == nil {
				t.Fatalf("%s becomes a %T", data, v)
			}
		}
	})
}
