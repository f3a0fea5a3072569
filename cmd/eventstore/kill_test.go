package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/database"
	"github.com/eventstore-go/eventstore/cmd/eventstore/internal/transfer"
)

// killwhen runs a command, and kills it (SIGKILL) as soon as a file is there: killwhen NAME eventstore import FILE
func killwhen(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: killwhen file command...")
	}
	file := ts.MkAbs(args[0])
	var out bytes.Buffer
	cmd := command(ts, args[1:], &out)
	ts.Check(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(file); err == nil {
			_ = cmd.Process.Kill()
			if err := <-ended; err == nil {
				ts.Fatalf("it had ended\n%s", &out)
			}
			return
		}
		select {
		case err := <-ended:
			ts.Fatalf("it ended before %s was there: %v\n%s", args[0], err, &out)
		case <-tick.C:
		}
	}
}

// half imports an archive into a schema, and no further than some events: half FILE SCHEMA
func half(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: half file schema")
	}
	l, err := database.Parse(ts.Getenv("EVENTSTORE_DB"))
	ts.Check(err)
	d, err := database.Open(l, database.Options{Schema: args[1]})
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, err = transfer.Import(ctx, d, ts.MkAbs(args[0]), transfer.ImportOptions{Batch: 100, Progress: func(int64, int64) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		ts.Fatalf("it was not interrupted: %v", err)
	}
	ts.Check(d.Close())
}

// command returns a command of a script.
func command(ts *testscript.TestScript, args []string, out *bytes.Buffer) *exec.Cmd {
	path := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(dir, args[0])); err == nil {
			path = filepath.Join(dir, args[0])
			break
		}
	}
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.Getenv("WORK"), out, out
	cmd.Env = append(os.Environ(), "EVENTSTORE_DB="+ts.Getenv("EVENTSTORE_DB"))
	return cmd
}

// killed runs a command again and again, killing it (SIGKILL) later each time, until it has ended by itself, and well. It
// must have been killed: killed eventstore export FILE
func killed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: killed command...")
	}
	kills := 0
	for wait := 10 * time.Millisecond; ; wait += wait / 4 {
		var out bytes.Buffer
		cmd := command(ts, args, &out)
		ts.Check(cmd.Start())
		timer := time.AfterFunc(wait, func() { _ = cmd.Process.Kill() })
		err := cmd.Wait()
		if timer.Stop() { // it was not killed
			if code := cmd.ProcessState.ExitCode(); err != nil && (kills == 0 || code != 4) { // 4: done, it was killed at its very end
				ts.Fatalf("%v\n%s", err, &out)
			}
			break
		}
		kills++
	}
	ts.Logf("was killed %d times", kills)
	if kills == 0 {
		ts.Fatalf("was never killed")
	}
}

// alike compares two archives, but for their first and last lines, which name the archives.
func alike(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: alike FILE FILE")
	}
	middle := func(name string) string {
		text := ts.ReadFile(name)
		lines := bytes.Split(bytes.TrimSpace([]byte(text)), []byte("\n"))
		return string(bytes.Join(lines[1:len(lines)-1], []byte("\n")))
	}
	if middle(args[0]) != middle(args[1]) {
		ts.Fatalf("%s and %s differ", args[0], args[1])
	}
}
