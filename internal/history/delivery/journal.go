package delivery

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"sync"
)

// Journal is a file of lines. It is safe for concurrent use.
type Journal struct {
	mu   sync.Mutex
	file *os.File
}

// Create creates a journal. The file must not exist.
func Create(path string) (*Journal, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &Journal{file: file}, nil
}

// Add adds a line. When it has returned, the line outlives the process, if not the machine.
func (j *Journal) Add(line any) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	_, err = j.file.Write(append(text, '\n'))
	return err
}

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }

// Read returns the lines of a journal so far. A last line that its process did not finish is left out.
func Read[T any](path string) ([]T, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var lines []T
	for {
		line, rest, complete := bytes.Cut(text, []byte("\n"))
		if !complete {
			return lines, nil
		}
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, len(lines)+1, err)
		}
		lines, text = append(lines, v), rest
	}
}
