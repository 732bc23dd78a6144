// Command bench measures DynConfig and prints a table, every row beside its bare counterpart in the same run:
//
//	go run ./bench                      all rows
//	go run ./bench -rows 'GET|deliver'  those whose name matches
//	go run ./bench -million             a million keys beside ten thousand, which takes minutes
//
// The servers are processes of their own: the real command on its embedded store, bare handlers, an etcd server. This
// process is the load. Ours and the counterpart take turns, so that what else the machine does falls on both.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

// plan is how much is measured.
type plan struct {
	only     *regexp.Regexp
	slice    time.Duration // of load before the other side's turn
	turns    int
	watchers []int
	rounds   int // broadcasts to watchers
}

func main() {
	serve := flag.String("serve", "", "be the counterpart of that name: bare or etcd (the program starts itself so)")
	dir := flag.String("dir", "", "data directory of -serve etcd")
	rows := flag.String("rows", "", "only rows whose name matches this expression")
	full := flag.Bool("million", false, "rows about a million keys on Postgres, instead of the others")
	quick := flag.Bool("quick", false, "a tenth of the time, and not to be quoted")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *serve, *dir, *rows, *quick, *full); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, serve, dir, rows string, quick, full bool) error {
	raiseFiles()
	switch serve {
	case "bare":
		return serveBare(ctx)
	case "etcd":
		return serveEtcd(ctx, dir)
	}
	match, err := regexp.Compile("(?i)" + rows)
	if err != nil {
		return err
	}
	p := plan{only: match, slice: time.Second, turns: 5, watchers: []int{1000, 9000}, rounds: 30}
	if quick {
		p.slice, p.turns, p.rounds = 200*time.Millisecond, 2, 5
	}
	if full {
		return million(ctx, p)
	}
	return measure(ctx, p)
}

// raiseFiles raises the limit of open files as far as the system lets us; 9,000 watchers of two servers are 18,000.
func raiseFiles() {
	const enough = 40_000
	limit := syscall.Rlimit{Cur: enough, Max: enough}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		return
	}
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		limit.Cur = limit.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) // connecting says it if this is not enough
	}
}
