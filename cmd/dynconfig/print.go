package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
)

// printed writes v as JSON or YAML, or table's rows.
func printed(out io.Writer, format string, v any, table func(row func(cells ...string))) error {
	switch format {
	case "json":
		text, err := plainJSON(v)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "%s\n", text)
		return err
	case "yaml":
		text, err := plainJSON(v)
		if err != nil {
			return err
		}
		return writeYAML(out, text)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	table(func(cells ...string) {
		for i := range cells {
			cells[i] = strings.Map(visible, cells[i])
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	})
	return w.Flush()
}

// visible turns what would move the cursor of a terminal into blanks: a table may show what others wrote.
func visible(r rune) rune {
	if unicode.IsControl(r) {
		return ' '
	}
	return r
}

// plainJSON is v on one line, with < > & as they are.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

// bare is a value as a shell wants it: a string's text, of anything else the JSON.
func bare(raw json.RawMessage) string {
	var s *string
	if json.Unmarshal(raw, &s) == nil && s != nil {
		return *s
	}
	return string(raw)
}

// line is a value on one line of a table.
func line(raw json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return string(raw)
	}
	return b.String()
}
