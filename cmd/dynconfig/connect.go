package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/client"
	"github.com/dynconfig/dynconfig/core"
)

const defaultServer = "http://127.0.0.1:8080"

// retry is how long a command repeats what met an overloaded or restarting server.
const retry = 3 * time.Second

// connection is the flags of every command that calls a server.
type connection struct {
	server, token, environment string
	output                     string
}

func (n *connection) addFlags(c *cobra.Command) {
	f := c.PersistentFlags()
	f.StringVar(&n.server, "server", "", "address of the server (DYNCONFIG_SERVER; default "+defaultServer+")")
	f.StringVar(&n.token, "token", "", "the JWT to show, or @FILE that holds it (DYNCONFIG_TOKEN)")
	f.StringVar(&n.environment, "env", "", "environment (DYNCONFIG_ENV)")
	f.StringVarP(&n.output, "output", "o", "", "table, json or yaml")
}

// client returns a client as the flags and variables say. A token file is read anew for every call, so that a watch goes
// on with what is in it when the old token ends.
func (n *connection) client() (*client.Client, error) {
	server := first(n.server, os.Getenv("DYNCONFIG_SERVER"), defaultServer)
	o := client.Options{Environment: first(n.environment, os.Getenv("DYNCONFIG_ENV")), Retry: retry}
	switch token := first(n.token, os.Getenv("DYNCONFIG_TOKEN")); {
	case strings.HasPrefix(token, "@"):
		o.Token = func(context.Context) (string, error) { return readToken(token[1:]) }
		if _, err := readToken(token[1:]); err != nil {
			return nil, err
		}
	case token != "":
		o.Token = client.StaticToken(strings.TrimSpace(token))
	default:
		return nil, core.Errorf(core.ErrUnauthenticated, "No token: set DYNCONFIG_TOKEN or give --token; a server that is its own issuer makes one with `dynconfig token --user NAME`")
	}
	c, err := client.New(server, o)
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

func readToken(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fileError(file, err)
	}
	return strings.TrimSpace(string(text)), nil
}

// open returns the client and the output format of a command whose answer is a table, unless another is asked for.
func (n *connection) open() (*client.Client, string, error) {
	format, err := n.format("table")
	if err != nil {
		return nil, "", err
	}
	cl, err := n.client()
	return cl, format, err
}

// format returns the output format, usual where none is asked for.
func (n *connection) format(usual string) (string, error) {
	switch format := first(n.output, usual); format {
	case "table", "json", "yaml", usual:
		return format, nil
	default:
		return "", usageError{fmt.Errorf("output is %q: it must be table, json or yaml", format)}
	}
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
