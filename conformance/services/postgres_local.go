package services

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// localPostgres is a server of this machine's programs, in a directory of its own and reached by a socket in it. It never
// touches the system's own cluster.
type localPostgres struct {
	bin, dir string
	owner    *syscall.Credential // nil: the user who runs the test
	server   *process
}

// newLocalPostgres makes a cluster.
func newLocalPostgres(t testing.TB) *localPostgres {
	t.Helper()
	p := &localPostgres{bin: postgresPrograms(t), owner: postgresOwner(t), dir: directory(t)}
	if err := os.CopyFS(p.data(), os.DirFS(p.template(t))); err != nil {
		t.Fatal(err)
	}
	p.own(t)
	return p
}

func (p *localPostgres) data() string { return filepath.Join(p.dir, "data") }
func (p *localPostgres) host() string { return p.dir }

func (p *localPostgres) program(name string, args ...string) *exec.Cmd {
	return exec.Command(filepath.Join(p.bin, name), args...)
}

// own hands the directory to the user who runs the server. initdb and postgres insist that nobody else may read it.
func (p *localPostgres) own(t testing.TB) {
	t.Helper()
	err := filepath.WalkDir(p.dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && p.owner != nil {
			err = os.Lchown(path, int(p.owner.Uid), int(p.owner.Gid))
		}
		if err == nil && e.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// command is a program of PostgreSQL, run by its owner.
func (p *localPostgres) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, program), args...)
	cmd.Dir = p.dir
	dieWithParent(cmd)
	if p.owner != nil {
		if cmd.SysProcAttr == nil {
			cmd.SysProcAttr = &syscall.SysProcAttr{}
		}
		cmd.SysProcAttr.Credential = p.owner
	}
	return cmd
}

// template returns a fresh cluster of this version, which is made once: later calls find it in the user's cache.
func (p *localPostgres) template(t testing.TB) string {
	t.Helper()
	version, err := exec.Command(filepath.Join(p.bin, "postgres"), "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" ()/\n", r) {
			return '-'
		}
		return r
	}, string(version))
	dir, unlock := cached(t, name)
	defer unlock()
	template := filepath.Join(dir, name)
	if _, err := os.Stat(template); err == nil {
		return template
	}
	fresh := &localPostgres{bin: p.bin, owner: p.owner, dir: directory(t)}
	fresh.own(t)
	out, err := fresh.command("initdb", "--pgdata="+fresh.data(), "--username=postgres", "--auth=trust", "--encoding=UTF8",
		"--locale=C", "--wal-segsize=1", "--no-sync").CombinedOutput()
	if err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	unfinished := template + ".new"
	err = errors.Join(os.RemoveAll(unfinished), os.CopyFS(unfinished, os.DirFS(fresh.data())), os.Rename(unfinished, template))
	if err != nil {
		t.Fatal(err)
	}
	return template
}

func (p *localPostgres) start(t testing.TB) {
	t.Helper()
	_ = os.Remove(filepath.Join(p.data(), "postmaster.pid")) // of the one that was killed
	cmd := p.command("postgres", "-D", p.data(),
		"-c", "listen_addresses=", "-c", "unix_socket_directories="+p.dir, "-c", "max_connections=300",
		"-c", "shared_buffers=32MB", "-c", "wal_keep_size=64MB", "-c", "cluster_name=dynconfig-test")
	p.server = run(t, filepath.Join(p.dir, "log"), cmd)
}

// kill kills the postmaster and then its backends, which it would otherwise replace, and waits until they let go of the
// shared memory: a new server does not start before.
func (p *localPostgres) kill(t testing.TB) {
	t.Helper()
	if p.server == nil {
		return
	}
	pid := p.server.cmd.Process.Pid
	Stop(t, p.server.cmd.Process) // so that it starts no more of them
	backends := children(pid)
	p.server.kill(t)
	p.server = nil
	for _, pid := range backends {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended by itself
	}
	for _, pid := range backends {
		until(t, "a backend of PostgreSQL does not end", func(context.Context) error { return inState(ofProcess(pid), "Z") })
	}
}

// pause stops the postmaster first, which then starts no more processes.
func (p *localPostgres) pause(t testing.TB) {
	t.Helper()
	Stop(t, p.server.cmd.Process)
	backends := children(p.server.cmd.Process.Pid)
	for _, pid := range backends {
		_ = syscall.Kill(pid, syscall.SIGSTOP) // it may have ended by itself
	}
	for _, pid := range backends {
		standsStill(t, pid)
	}
}

func (p *localPostgres) resume(t testing.TB) {
	t.Helper()
	for _, pid := range children(p.server.cmd.Process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	p.server.resume(t)
}

func (p *localPostgres) replica(t testing.TB) postgresServer {
	t.Helper()
	r := &localPostgres{bin: p.bin, owner: p.owner, dir: directory(t)}
	r.own(t)
	out, err := r.command("pg_basebackup", "--pgdata="+r.data(), "--host="+p.dir, "--username=postgres", "--write-recovery-conf",
		"--checkpoint=fast", "--wal-method=stream", "--no-sync").CombinedOutput()
	if err != nil {
		t.Fatalf("pg_basebackup: %v\n%s", err, out)
	}
	return r
}

// postgresOwner is who runs the server: PostgreSQL refuses root.
func postgresOwner(t testing.TB) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		gid, bad := strconv.ParseUint(u.Gid, 10, 32)
		if err == nil && bad == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	t.Fatal("PostgreSQL does not run as root, and there is no user postgres or nobody to run it")
	return nil
}

// postgresPrograms returns the directory of PostgreSQL's programs, and installs them where they are missing and may be
// installed, without a cluster of the system's own.
func postgresPrograms(t testing.TB) string {
	t.Helper()
	_, unlock := cached(t, "postgres-programs")
	defer unlock()
	if dir := findPostgres(); dir != "" {
		return dir
	}
	const config = "/etc/postgresql-common/createcluster.d/dynconfig-tests.conf"
	if os.Geteuid() == 0 && os.MkdirAll(filepath.Dir(config), 0o755) == nil {
		if err := os.WriteFile(config, []byte("create_main_cluster = false\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	installed(t, "pg_ctlcluster", "postgresql")
	dir := findPostgres()
	if dir == "" {
		t.Fatal("PostgreSQL's programs are missing: install the package postgresql, or put initdb and postgres into PATH")
	}
	return dir
}

func findPostgres() string {
	var programs []string
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if initdb, err = filepath.EvalSymlinks(initdb); err == nil {
			programs = append(programs, initdb)
		}
	}
	installed, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is well-formed
	slices.Reverse(installed)                                         // the newest first
	for _, initdb := range append(programs, installed...) {
		dir := filepath.Dir(initdb)
		if _, err := os.Stat(filepath.Join(dir, "postgres")); err == nil {
			return dir
		}
	}
	return ""
}
