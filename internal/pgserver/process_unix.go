//go:build unix

package pgserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// owner is whom servers run as where the tests run as root, which PostgreSQL refuses; nil elsewhere.
func owner() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err1, err2)
	}
	return nil, errors.New("pgtest: the server can't run as root, and there is no user postgres or nobody")
}

// giveAway makes the files those of the server's user.
func giveAway(paths ...string) error {
	as, err := owner()
	if as == nil || err != nil {
		return err
	}
	for _, path := range paths {
		if err := os.Chown(path, int(as.Uid), int(as.Gid)); err != nil {
			return err
		}
	}
	return nil
}

// tempDir is where clusters live: the usual folder, or /tmp where the server's user couldn't get there.
func tempDir() string {
	dir := os.TempDir()
	if os.Geteuid() != 0 {
		return dir
	}
	for at := dir; ; at = filepath.Dir(at) {
		if info, err := os.Stat(at); err != nil || info.Mode().Perm()&0o001 == 0 {
			return "/tmp"
		}
		if at == filepath.Dir(at) {
			return dir
		}
	}
}

// attributes make a child run as the server's user, in a process group of its own so that Ctrl-C doesn't reach it.
func attributes() (*syscall.SysProcAttr, error) {
	as, err := owner()
	return &syscall.SysProcAttr{Credential: as, Setpgid: true}, err
}

// environment is this process's without what PostgreSQL's programs would take from it.
func environment() []string {
	env := []string{"LC_ALL=C"}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PG") && !strings.HasPrefix(v, "LC_") && !strings.HasPrefix(v, "LANG") {
			env = append(env, v)
		}
	}
	return env
}

// run runs a program to its end. The error holds what it printed.
func run(dir, program string, args ...string) error {
	attr, err := attributes()
	if err != nil {
		return err
	}
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = dir, environment(), attr
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pgtest: %s: %w\n%s", program, err, out)
	}
	return nil
}

// spawn starts a program that writes to the end of logFile, and returns its process id. The caller must see it exit,
// by exited or killTree.
func spawn(dir, logFile string, stdin *os.File, program string, args ...string) (int, error) {
	attr, err := attributes()
	if err != nil {
		return 0, err
	}
	out, err := os.OpenFile(logFile, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { _ = out.Close() }()
	p, err := os.StartProcess(program, append([]string{program}, args...), &os.ProcAttr{
		Dir: dir, Env: environment(), Files: []*os.File{stdin, out, out}, Sys: attr,
	})
	if err != nil {
		return 0, err
	}
	pid := p.Pid // Release forgets it
	return pid, p.Release()
}

// exited reports whether the child has ended, and lets the system forget it.
func exited(pid int) bool {
	got, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
	return got == pid || errors.Is(err, syscall.ECHILD)
}

func interrupt(pid int) error { return syscall.Kill(pid, syscall.SIGINT) }

// killTree kills a process and its children. It stops the process first, so that it neither has more nor sees them go.
func killTree(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	if err := standsStill(pid); err != nil {
		return err
	}
	pids, err := children(pid)
	if err != nil {
		return err
	}
	for _, child := range pids {
		if err := syscall.Kill(child, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return err
	}
	if _, err := wait4(pid, 0); err != nil && !errors.Is(err, syscall.ECHILD) {
		return err
	}
	return until("the server and its children are gone", func() (bool, error) {
		for _, one := range append(pids, pid) {
			if running(one) {
				return false, nil
			}
		}
		return true, nil
	})
}

// standsStill waits until a process that was told to stop has stopped.
func standsStill(pid int) error {
	_, err := wait4(pid, syscall.WUNTRACED)
	if !errors.Is(err, syscall.ECHILD) {
		return err
	}
	return until("the server stands still", func() (bool, error) { // it is not a child of this process
		all, err := processes()
		for _, p := range all {
			if p.pid == pid {
				return strings.HasPrefix(p.state, "T"), err
			}
		}
		return err == nil, err
	})
}

// wait4 waits for the child, again where a signal to this process ended the wait.
func wait4(pid, options int) (int, error) {
	for {
		got, err := syscall.Wait4(pid, nil, options, nil)
		if !errors.Is(err, syscall.EINTR) {
			return got, err
		}
	}
}

// children returns the ids of a process's children.
func children(parent int) ([]int, error) {
	out, err := processes()
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, p := range out {
		if p.parent == parent {
			pids = append(pids, p.pid)
		}
	}
	return pids, nil
}

// running reports whether the process exists and is more than a dead entry that its parent hasn't collected.
func running(pid int) bool {
	all, err := processes()
	if err != nil {
		return syscall.Kill(pid, 0) == nil
	}
	for _, p := range all {
		if p.pid == pid {
			return !strings.HasPrefix(p.state, "Z") && !strings.HasPrefix(p.state, "X")
		}
	}
	return false
}

type process struct {
	pid, parent int
	state       string
}

// processes lists the machine's processes: from /proc, since small Linux images lack ps, else by ps.
func processes() ([]process, error) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // fails on a malformed pattern only
	if len(stats) == 0 {
		return psProcesses()
	}
	var all []process
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		// "pid (program) state parent ...", where the program's name may hold anything
		stat := string(b)
		fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
		if len(fields) < 2 {
			continue
		}
		pid, err1 := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		parent, err2 := strconv.Atoi(fields[1])
		if err1 == nil && err2 == nil {
			all = append(all, process{pid, parent, fields[0]})
		}
	}
	return all, nil
}

func psProcesses() ([]process, error) {
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=,stat=").Output()
	if err != nil {
		return nil, fmt.Errorf("pgtest: list processes: %w", err)
	}
	var all []process
	for line := range strings.Lines(string(out)) {
		var p process
		if _, err := fmt.Sscan(line, &p.pid, &p.parent, &p.state); err == nil {
			all = append(all, p)
		}
	}
	return all, nil
}
