package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// killed runs a command again and again, killing it (SIGKILL) later each time, until it has ended by itself, and well. It
// must have been killed: killed eventstore export FILE
func killed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: killed command...")
	}
	path := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(dir, args[0])); err == nil {
			path = filepath.Join(dir, args[0])
			break
		}
	}
	kills := 0
	for wait := 10 * time.Millisecond; ; wait += wait / 4 {
		var out bytes.Buffer
		cmd := exec.Command(path, args[1:]...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = ts.Getenv("WORK"), &out, &out
		cmd.Env = append(os.Environ(), "EVENTSTORE_DB="+ts.Getenv("EVENTSTORE_DB"))
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
