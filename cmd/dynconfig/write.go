package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/dynconfig/dynconfig/client"
)

// writeFlags are those of every command that writes.
type writeFlags struct {
	ttl                string
	read, write, admin []string
	acls               string
	ifVersion          int64
	ifAbsent           bool
}

func (w *writeFlags) addRules(c *cobra.Command) {
	f := c.Flags()
	f.StringSliceVar(&w.read, "acl-read", nil, `who may read; "" is nobody; a list not given is kept`)
	f.StringSliceVar(&w.write, "acl-write", nil, `who may write; "" is nobody`)
	f.StringSliceVar(&w.admin, "acl-admin", nil, `who may do both and change the rules; "" is nobody`)
	mayBeEmpty(f, "acl-read", "acl-write", "acl-admin")
	f.StringVar(&w.acls, "acls", "", `all lists as JSON, such as {"read":["*"]}; null removes them`)
}

func (w *writeFlags) addTTL(c *cobra.Command) {
	c.Flags().StringVar(&w.ttl, "ttl", "", `how long the value lives, such as 90, 30s or 24h; "none" removes it`)
}

func (w *writeFlags) addConditions(c *cobra.Command) {
	c.Flags().Int64Var(&w.ifVersion, "if-version", 0, "only if this is its version")
}

// options returns what the flags say.
func (w *writeFlags) options(c *cobra.Command) (client.WriteOptions, error) {
	o := client.WriteOptions{IfVersion: w.ifVersion, IfAbsent: w.ifAbsent}
	changed := c.Flags().Changed
	switch {
	case changed("if-version") && w.ifVersion < 1:
		return o, usageError{errors.New("--if-version is a version: 1 or more")}
	case changed("if-version") && w.ifAbsent:
		return o, usageError{errors.New("--if-absent and --if-version exclude each other")}
	}
	switch w.ttl {
	case "":
	case "none":
		o.ClearTTL = true
	default:
		d, err := parseDuration(w.ttl)
		if err != nil || d <= 0 || d%time.Second != 0 {
			return o, usageError{fmt.Errorf("--ttl is %q: it must be whole seconds, such as 90, 30s or 24h", w.ttl)}
		}
		o.TTL = d
	}
	lists := client.ACL{}
	for _, l := range []struct {
		flag string
		from []string
		to   *[]string
	}{{"acl-read", w.read, &lists.Read}, {"acl-write", w.write, &lists.Write}, {"acl-admin", w.admin, &lists.Admin}} {
		if changed(l.flag) {
			*l.to, o.ACLs = append([]string{}, l.from...), &lists
		}
	}
	if !changed("acls") {
		return o, nil
	}
	if o.ACLs != nil {
		return o, usageError{errors.New("--acls and --acl-… exclude each other")}
	}
	d := json.NewDecoder(strings.NewReader(w.acls))
	d.DisallowUnknownFields()
	if err := d.Decode(&o.ACLs); err != nil || d.More() {
		return o, usageError{errors.New(`--acls is not an object such as {"read":["*"],"write":[],"admin":[]}`)}
	}
	o.ClearACLs = o.ACLs == nil
	return o, nil
}

// readValue reads a VALUE: "-" is standard input, "@file" a file. It is JSON if it parses, else a string; asString makes it
// one in any case. The line's end at the end of what is read is left out.
func readValue(arg string, in io.Reader, asString bool) (json.RawMessage, error) {
	text := []byte(arg)
	var err error
	switch {
	case arg == "-":
		text, err = io.ReadAll(in)
	case strings.HasPrefix(arg, "@"):
		if text, err = os.ReadFile(arg[1:]); err != nil {
			return nil, fileError(arg[1:], err)
		}
	}
	if err != nil {
		return nil, err
	}
	if string(text) != arg {
		text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	}
	if !utf8.Valid(text) {
		return nil, failf("The value is not UTF-8")
	}
	if !asString && json.Valid(text) {
		return bytes.TrimSpace(text), nil
	}
	return plainJSON(string(text))
}
