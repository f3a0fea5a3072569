// Package rendered makes a file system of migration files with their placeholders replaced.
package rendered

import (
	"bytes"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"
)

// FS returns the files of folder in files, at its root, with r applied to their contents.
func FS(files fs.FS, folder string, r *strings.Replacer) fs.FS {
	return rendered{files, folder, r}
}

// Broken returns a file system that has nothing but an error.
func Broken(err error) fs.FS { return broken{err} }

type broken struct{ err error }

// Open implements [fs.FS].
func (b broken) Open(string) (fs.File, error) { return nil, b.err }

type rendered struct {
	files    fs.FS
	folder   string
	replacer *strings.Replacer
}

// Open implements [fs.FS].
func (f rendered) Open(name string) (fs.File, error) {
	opened, err := f.files.Open(path.Join(f.folder, name))
	if err != nil {
		return nil, err
	}
	info, err := opened.Stat()
	if err != nil || info.IsDir() {
		return opened, err
	}
	defer opened.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(opened)
	if err != nil {
		return nil, err
	}
	text = []byte(f.replacer.Replace(string(text)))
	return &file{Reader: bytes.NewReader(text), name: path.Base(name), size: int64(len(text))}, nil
}

// file is a rendered file, and its own [fs.FileInfo].
type file struct {
	*bytes.Reader
	name string
	size int64
}

func (f *file) Stat() (fs.FileInfo, error) { return f, nil }
func (f *file) Close() error               { return nil }
func (f *file) Name() string               { return f.name }
func (f *file) Size() int64                { return f.size }
func (f *file) Mode() fs.FileMode          { return 0o444 }
func (f *file) ModTime() time.Time         { return time.Time{} }
func (f *file) IsDir() bool                { return false }
func (f *file) Sys() any                   { return nil }
