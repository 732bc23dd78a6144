// Containers starts one server for a test in a container, for package services, and ends it when its standard input ends:
// however the test goes, nothing is left. It is a program of a module of its own so that those who import the main module
// do not carry testcontainers-go and what it needs.
//
//	containers have IMAGE   exits with 0 if the engine has the image or could fetch it
//	containers run          reads a specification in JSON, then commands, a line each; answers each with a line of JSON
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/testcontainers/testcontainers-go/log"
)

// fetchTime is how long the engine may take to fetch an image.
const fetchTime = 5 * time.Minute

func main() {
	signal.Ignore(os.Interrupt) // of a terminal, to the test: the end of the input says that it is over
	log.SetDefault(log.NewNoopLogger())
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "have":
		ctx, cancel := context.WithTimeout(context.Background(), fetchTime)
		defer cancel()
		return have(ctx, args[1])
	case len(args) == 1 && args[0] == "run":
		return serve(context.Background(), os.Stdin, os.Stdout)
	}
	return fmt.Errorf("usage: containers have IMAGE | containers run")
}
