package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/eventstore-go/eventstore/serializer"
)

func Example() {
	main()
	// Output:
	// Three programs write, year after year.
	// The last of them reads it all:
	//   1: Ada Byron, unknown
	//   3: Mary Fairfax, unknown
	//   4: moved to Italy
	//   4: is called Somerville now
	//   5: Sofia Kovalevskaya, Sweden
}

// TestGolden: an event of each version that was ever written still decodes to what it means today. A file is named after
// the event's type and version; its first line is the data as recorded, the others what it is to become.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.golden")
	require.NoError(t, err)
	require.Len(t, files, 7)
	s := serializer.JSON(today())
	for _, file := range files {
		name, version, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".golden"), "@")
		contentType := "json"
		if version != "1" {
			contentType += ";v=" + version
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		values, err := s.DecodeAll(name, contentType, []byte(lines[0]))
		require.NoError(t, err, file)
		got := []string{}
		for _, value := range values {
			data, err := json.Marshal(value)
			require.NoError(t, err)
			typeName, _ := s.TypeName(value)
			got = append(got, typeName+" "+string(data))
		}
		assert.Equal(t, lines[1:], got, file)
	}
}
