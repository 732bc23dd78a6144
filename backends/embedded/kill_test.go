package embedded

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// childVariable names the data directory to a copy of the test program that writes until it is killed.
const childVariable = "DYNCONFIG_TEST_WRITE_TO"

const childWriters = 8

// child writes, and prints the key and revision of every commit after it was acknowledged. What a busy disk does not take
// in time it sends again.
func child(dir string) {
	var b *core.Backend
	err := insist(func() (err error) {
		b, err = Open(context.Background(), dir, synced())
		return err
	})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	run := rand.Text()
	var wg sync.WaitGroup
	for w := range childWriters {
		wg.Go(func() {
			for n := 0; ; n++ {
				key := fmt.Sprintf("%d/%d", w, n)
				txn := core.Txn{
					Meta: core.Meta{ID: run + key},
					Ops:  []core.Op{{Key: core.Key(key), Do: core.OpPut, Doc: core.Doc{Value: []byte(strings.Repeat("v", 1+n%9000))}}},
				}
				var c core.Commit
				err := insist(func() (err error) {
					c, err = b.Store.Commit(context.Background(), txn)
					return err
				})
				if err != nil {
					fmt.Println("error", err)
					os.Exit(1)
				}
				_, _ = os.Stdout.WriteString(fmt.Sprintf("%s %d\n", key, c.Revision)) // one write: whole lines
			}
		})
	}
	wg.Wait()
}

// insist repeats a call while it is answered with ErrUnavailable, for longer than a disk should stand still.
func insist(call func() error) error {
	for end := time.Now().Add(3 * time.Minute); ; <-time.After(10 * time.Millisecond) {
		if err := call(); !errors.Is(err, core.ErrUnavailable) || time.Now().After(end) {
			return err
		}
	}
}

func TestWhatWasAcknowledgedSurvivesKill9(t *testing.T) {
	const rounds, each = 3, 400
	dir := t.TempDir()
	acknowledged := map[core.Revision]string{}
	for range rounds {
		writeAndKill(t, dir, each, acknowledged)
	}
	b := openIn(t, dir)
	found := map[core.Revision]string{}
	for after := core.Revision(0); ; {
		commits, err := b.Store.Log(t.Context(), after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(commits) == 0 {
			break
		}
		for _, c := range commits {
			after++
			if c.Revision != after {
				t.Fatalf("the log goes from %d to %d", after-1, c.Revision)
			}
			found[c.Revision] = string(c.Changes[0].Entry.Key)
		}
	}
	if len(acknowledged) < rounds*each {
		t.Errorf("%d commits were acknowledged, want at least %d", len(acknowledged), rounds*each)
	}
	for r, key := range acknowledged {
		if found[r] != key {
			t.Fatalf("commit %d of %q was acknowledged, and the log has %q there", r, key, found[r])
		}
	}
}

// writeAndKill lets a child write until it has acknowledged n commits more, and kills it.
func writeAndKill(t *testing.T, dir string, n int, acknowledged map[core.Revision]string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for i := 0; lines.Scan(); i++ {
		key, number, _ := strings.Cut(lines.Text(), " ")
		r, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			t.Errorf("the child says %q", lines.Text())
			break
		}
		acknowledged[core.Revision(r)] = key
		if i == n {
			_ = cmd.Process.Kill() // what it has still printed is read
		}
	}
	_ = cmd.Wait() // says that it was killed
}
