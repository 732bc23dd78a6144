package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/client"
)

func watchCommand() *cobra.Command {
	var n connection
	var o client.WatchOptions
	var bookmarks bool
	var count int
	c := &cobra.Command{
		Use: "watch PATTERN...", Short: "Print every change as it comes",
		Long: `Print a line for every change as it comes, until Ctrl-C. A PATTERN is a key, a namespace with ".*", or "*".
A watch survives lost connections and restarts of the server: it goes on where it was, without a gap or a repeat.`,
		Example: "  dynconfig watch 'app.*' --snapshot\n  dynconfig watch app.ui.theme -o json\n  dynconfig watch app.ready --count 1",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("dynconfig watch takes one PATTERN or more")}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if o.Patterns = args; o.Snapshot && o.SinceRevision != "" {
				return usageError{errors.New("--snapshot and --since-revision exclude each other")}
			}
			if count < 0 {
				return usageError{errors.New("--count is negative")}
			}
			cl, format, err := n.open()
			if err != nil {
				return err
			}
			lost := lostPrinter{out: c.ErrOrStderr()}
			o.Lost = lost.tell
			for e, err := range cl.Watch(c.Context(), o) {
				if errors.Is(err, context.Canceled) {
					return nil // Ctrl-C is how a watch ends
				}
				if err != nil {
					return err
				}
				lost.last = ""
				if e.Event == client.Bookmark && !bookmarks {
					continue
				}
				if err := printEvent(c.OutOrStdout(), format, e); err != nil {
					return err
				}
				if count--; count == 0 {
					return nil
				}
			}
			return nil
		},
	}
	n.addFlags(c)
	c.Flags().BoolVar(&o.Snapshot, "snapshot", false, "begin with what there is")
	c.Flags().StringVar(&o.SinceRevision, "since-revision", "", "begin with what followed a revision")
	c.Flags().BoolVar(&o.Every, "every", false, "every change, however far behind")
	c.Flags().BoolVar(&bookmarks, "bookmarks", false, "print bookmarks too: revisions to resume from")
	c.Flags().IntVar(&count, "count", 0, "end after so many lines; 0: never")
	return c
}

// lostPrinter says once why there is no connection, not at every try.
type lostPrinter struct {
	out  io.Writer
	last string
}

func (p *lostPrinter) tell(err error, _ time.Duration) {
	if text := sentence(err); text != p.last {
		p.last = text
		fmt.Fprintf(p.out, "dynconfig: %s; connecting again\n", text)
	}
}

func printEvent(out io.Writer, format string, e client.Event) error {
	if format != "table" {
		if format == "yaml" {
			fmt.Fprintln(out, "---")
		}
		return printed(out, format, e, nil)
	}
	text := e.Event
	if e.Key != "" {
		text += " " + e.Key
	}
	if e.Version != 0 {
		text += fmt.Sprintf(" %d", e.Version)
	}
	if e.Value != nil {
		text += " " + line(e.Value)
	}
	if e.Event == client.Bookmark {
		text += " " + e.Revision
	}
	_, err := fmt.Fprintln(out, text)
	return err
}
