package model

import (
	"context"
	"flag"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/eventstore-go/eventstore/backend/memory"
	"github.com/eventstore-go/eventstore/store"
)

func TestMemory(t *testing.T) {
	Run(t, func(testing.TB) store.Storage { return memory.New() })
}

// broken is memory with one promise broken.
type broken struct {
	store.Storage
	fault string
}

func (b broken) Append(ctx context.Context, r store.AppendRequest) (store.AppendResult, error) {
	if n, is := r.Expected.AsVersion(); b.fault == "version ignored" && is && n > 0 {
		r.Expected = store.Any
	}
	res, err := b.Storage.Append(ctx, r)
	if b.fault == "retry not told" {
		res.Retried = false
	}
	return res, err
}

func (b broken) AppendAll(ctx context.Context, list []store.AppendRequest) (results []store.AppendResult, err error) {
	if b.fault != "several one by one" {
		return b.Storage.(store.MultiAppender).AppendAll(ctx, list)
	}
	for _, r := range list {
		res, err := b.Storage.Append(ctx, r)
		if err != nil {
			return nil, err
		}
		results = append(results, res)
	}
	return results, nil
}

func (b broken) Link(ctx context.Context, r store.LinkRequest) (store.AppendResult, error) {
	if b.fault == "links turned" {
		r.Events = slices.Clone(r.Events)
		slices.Reverse(r.Events)
	}
	return b.Storage.Link(ctx, r)
}

func (b broken) Delete(ctx context.Context, r store.DeleteRequest) error {
	if b.fault == "soft delete twice" && r.Kind == store.SoftDelete {
		if info, err := b.StreamInfo(ctx, r.Stream); err == nil && info.Status() == store.Deleted {
			return nil
		}
	}
	return b.Storage.Delete(ctx, r)
}

func (b broken) ReadAll(ctx context.Context, r store.ReadRequest) (store.Part, error) {
	page, err := b.Storage.ReadAll(ctx, r)
	if b.fault == "positions reused" {
		for i := range page.Events {
			page.Events[i].Number = int64(i + 1)
		}
	}
	return page, err
}

// failures is a rapid.TB that notes a failure.
type failures struct {
	rapid.TB
	failed bool
}

func (f *failures) Errorf(string, ...any) { f.failed = true }
func (f *failures) Error(...any)          { f.failed = true }
func (f *failures) Fatalf(string, ...any) { f.FailNow() }
func (f *failures) Fatal(...any)          { f.FailNow() }
func (f *failures) Fail()                 { f.failed = true }
func (f *failures) Failed() bool          { return f.failed }
func (f *failures) Log(...any)            {}
func (f *failures) Logf(string, ...any)   {}
func (f *failures) FailNow() {
	f.failed = true
	runtime.Goexit()
}

// expectFailures keeps rapid from making the best of a failure: no file, and no search for a shorter history.
func expectFailures(t *testing.T) {
	for name, value := range map[string]string{"rapid.nofailfile": "true", "rapid.shrinktime": "0s"} {
		was := flag.Lookup(name).Value.String()
		require.NoError(t, flag.Set(name, value))
		t.Cleanup(func() { require.NoError(t, flag.Set(name, was)) })
	}
}

// TestFaults checks that random histories find what is broken.
func TestFaults(t *testing.T) {
	expectFailures(t)
	for _, fault := range []string{"version ignored", "retry not told", "links turned", "soft delete twice", "positions reused", "several one by one"} {
		t.Run(fault, func(t *testing.T) {
			f := &failures{TB: t}
			done := make(chan struct{})
			go func() {
				defer close(done)
				check(f, t, func(testing.TB) store.Storage { return broken{memory.New(), fault} })
			}()
			<-done
			assert.True(t, f.failed, "no history found it")
		})
	}
}
