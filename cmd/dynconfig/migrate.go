package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/migrate"
)

func migrateCommand() *cobra.Command {
	var from, to place
	c := &cobra.Command{
		Use: "migrate --from URL --to URL", Short: "Copy a store into an empty one of any backend", Args: arguments(0, ""),
		Long: `Copy a store into an empty one of any backend: entries and tombstones of every kind with their versions, and what is
retained of their histories. Then both are read through and compared. Stop the servers of both first.

What was interrupted goes on where it ended when the same command is run again; what is done is only compared again.
Values stay sealed with the keyset that they were sealed with, unless the target has another one.`,
		Example: "  dynconfig migrate --from embedded:./data --to etcd://10.0.0.1:2379,10.0.0.2:2379/dynconfig",
		RunE: func(c *cobra.Command, _ []string) error {
			if from.url == "" || to.url == "" {
				return usageError{fmt.Errorf("%s takes --from URL and --to URL", c.CommandPath())}
			}
			r, err := copyStore(c.Context(), &from, &to, c.ErrOrStderr())
			if r.Target.SHA256 != "" {
				printReport(c.OutOrStdout(), r)
			}
			if err != nil && c.Context().Err() != nil {
				return failf("Interrupted: run the same command again to go on")
			}
			return err
		},
	}
	c.Flags().StringVar(&from.url, "from", "", "URL of the backend to copy from")
	c.Flags().StringVar(&to.url, "to", "", "URL of the backend to copy to")
	c.Flags().StringVar(&from.keyset, "from-keyset", "", "keyset of the source; unset: the embedded backend's own")
	c.Flags().StringVar(&to.keyset, "to-keyset", "", "keyset of the target; unset: the embedded backend's own, or the source's")
	return c
}

// place is one end of a copy.
type place struct {
	url     string
	keyset  string // file; "": values as they are
	backend *core.Backend
	Settings
}

// copyStore opens both ends, copies, and closes them.
func copyStore(ctx context.Context, from, to *place, out io.Writer) (r migrate.Report, err error) {
	for _, p := range []*place{from, to} {
		if p.Settings, err = settingsAt(p.url); err != nil {
			return r, usageError{err}
		}
	}
	if from.Backend == "memory" || to.Backend == "memory" {
		return r, usageError{errors.New("backend memory ends with its process: there is nothing to copy from, and nothing that would stay")}
	}
	if _, err := os.Stat(filepath.Join(from.DataDir, "store")); from.Backend == "embedded" && errors.Is(err, fs.ErrNotExist) {
		return r, failf("There is no store in %s", from.DataDir)
	}
	for _, p := range []*place{from, to} {
		if p.backend, err = openers()[p.Backend](ctx, p.Settings, slog.New(slog.DiscardHandler)); err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, p.backend.Close()) }()
	}
	source, target, err := underKeysets(ctx, from, to)
	if err != nil {
		return r, err
	}
	r, err = migrate.Run(ctx, source, target, migrate.Options{Progress: progressTo(out)})
	if err == nil && to.keyset != "" && to.keyset != to.ownKeyset() {
		fmt.Fprintf(out, "dynconfig: values are sealed with %s: start the target's servers with --keyset\n", to.keyset)
	}
	return r, err
}

// progressTo writes how a copy goes, a line a second and one for each stage.
func progressTo(out io.Writer) func(migrate.Progress) {
	var stage migrate.Stage
	var told time.Time
	return func(p migrate.Progress) {
		now := time.Now()
		if p.Stage == stage && now.Sub(told) < time.Second {
			return
		}
		stage, told = p.Stage, now
		if p.Of > 0 {
			fmt.Fprintf(out, "dynconfig: %s, revision %d of %d\n", p.Stage, p.Done, p.Of)
		} else {
			fmt.Fprintf(out, "dynconfig: %s, %d entries\n", p.Stage, p.Done)
		}
	}
}

func printReport(out io.Writer, r migrate.Report) {
	for _, end := range []struct {
		name string
		migrate.Digest
	}{{"source", r.Source}, {"target", r.Target}} {
		fmt.Fprintf(out, "%s sha256:%s  %d entries, %d of them deleted, %d changes\n", end.name, end.SHA256, end.Entries, end.Deleted, end.Changes)
	}
}
