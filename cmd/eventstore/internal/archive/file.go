package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/uuid"
)

// ErrExists is returned where an archive is to be written and a file stands already.
var ErrExists = errors.New("the file is there already")

// File is an archive that is being written to a file, under another name until it is whole. What was written up to the last
// Save survives the death of the process, and of the machine: whoever creates the same archive goes on there.
type File struct {
	*Writer
	// Resumed says how far an earlier File has come, or is nil if this one begins anew.
	Resumed *Progress

	path string
	f    *os.File
}

// Progress is how far a File has come.
type Progress struct {
	Header   Header           `json:"header"`
	Counts   Counts           `json:"counts"`
	LeftOut  map[string]int64 `json:"left_out,omitempty"`
	Position int64            `json:"position"`       // all events up to it were written
	Event    uuid.UUID        `json:"event,omitzero"` // id of the event at Position, if there is one
	Bytes    int64            `json:"bytes"`          // of the file
	Sum      []byte           `json:"sum"`
}

// partial and state are the names of what is not whole yet.
func partial(path string) string { return path + ".partial" }
func state(path string) string   { return path + ".partial.state" }

// Create begins to write an archive to a file, or goes on with it. It returns [ErrExists] if the file is there, unless
// replace is set; then it is replaced when the new archive is whole.
func Create(path string, compress, replace bool) (*File, error) {
	if _, err := os.Stat(path); err == nil && !replace {
		return nil, fmt.Errorf("%s: %w", path, ErrExists)
	}
	file := &File{path: path}
	var err error
	if file.Resumed, err = readProgress(path); err != nil {
		return nil, err
	}
	if file.f, err = os.OpenFile(partial(path), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	if err := file.begin(compress); err != nil {
		return nil, errors.Join(err, file.f.Close())
	}
	return file, nil
}

func (file *File) begin(compress bool) (err error) {
	size := int64(0)
	if file.Resumed != nil {
		size = file.Resumed.Bytes
	}
	if info, err := file.f.Stat(); err != nil {
		return err
	} else if info.Size() < size {
		return fmt.Errorf("%s is shorter than %s says: remove both and begin again", partial(file.path), state(file.path))
	}
	if err := file.f.Truncate(size); err != nil {
		return err
	}
	if _, err := file.f.Seek(size, 0); err != nil {
		return err
	}
	if file.Writer, err = NewWriter(file.f, compress); err != nil {
		return err
	}
	if file.Resumed != nil {
		return file.goOn(file.Resumed.Counts, file.Resumed.Sum)
	}
	return nil
}

func readProgress(path string) (*Progress, error) {
	text, err := os.ReadFile(state(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var p Progress
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, fmt.Errorf("%s can't be understood: remove it to begin again: %w", state(path), err)
	}
	return &p, nil
}

// Partial returns the name of the file that is not whole yet.
func (file *File) Partial() string { return partial(file.path) }

// Save makes all that was written durable, and notes it: p, whose Counts, Bytes and Sum it sets.
func (file *File) Save(p Progress) error {
	if err := file.flush(); err != nil {
		return err
	}
	if err := file.f.Sync(); err != nil {
		return err
	}
	info, err := file.f.Stat()
	if err != nil {
		return err
	}
	p.Counts, p.Bytes = file.Counts(), info.Size()
	if p.Sum, err = file.sum(); err != nil {
		return err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return replaceFile(state(file.path), text)
}

// replaceFile writes a file as a whole or not at all.
func replaceFile(path string, text []byte) error {
	temporary := path + ".new"
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(text); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return errors.Join(os.Rename(temporary, path), syncDir(path))
}

// syncDir makes the names in a file's directory durable.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	_ = d.Sync() // not every system can
	return d.Close()
}

// Finish writes the end, and gives the file its name.
func (file *File) Finish(leftOut map[string]int64) (End, error) {
	end, err := file.Writer.Finish(leftOut)
	if err == nil {
		err = file.f.Sync()
	}
	if err = errors.Join(err, file.f.Close()); err != nil {
		return end, err
	}
	// In this order: a state without its file would stand in the way of the next export of this name.
	if err := os.Remove(state(file.path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return end, err
	}
	return end, errors.Join(os.Rename(partial(file.path), file.path), syncDir(file.path))
}

// Close closes the file without an end, if it was not finished: what was saved is found by the next [Create].
func (file *File) Close() error {
	if err := file.f.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
