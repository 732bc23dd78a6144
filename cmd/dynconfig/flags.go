package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// settingFlag is the flag of a setting: a text that is read only beside what the variables and the file say.
type settingFlag struct {
	text  string
	kind  string // for the help
	given bool
}

var errTwice = errors.New("given twice")

// Set refuses a second value: the first would be lost without a word.
func (f *settingFlag) Set(text string) error {
	if f.given {
		return errTwice
	}
	f.text, f.given = text, true
	return nil
}

func (f *settingFlag) String() string { return f.text }

// Type is what the help says.
func (f *settingFlag) Type() string { return f.kind }

// badFlag says in one sentence what is wrong with a flag.
func badFlag(_ *cobra.Command, err error) error {
	var bad *pflag.InvalidValueError
	if !errors.As(err, &bad) {
		return usageError{err}
	}
	name := bad.GetFlag().Name
	if errors.Is(err, errTwice) {
		return usageError{fmt.Errorf("--%s is given twice: a list is one value, with commas in it", name)}
	}
	words, known := map[string]string{
		"bool": "true or false", "int": "a whole number", "int64": "a whole number", "float64": "a number",
		"duration": "a duration such as 30s", "stringSlice": "a list with commas",
	}[bad.GetFlag().Value.Type()]
	if !known {
		return usageError{err}
	}
	return usageError{fmt.Errorf("--%s is %q: it must be %s", name, bad.GetValue(), words)}
}

// emptiable marks the flags to which an empty text means something.
const emptiable = "emptiable"

func mayBeEmpty(flags *pflag.FlagSet, names ...string) {
	for _, name := range names {
		_ = flags.SetAnnotation(name, emptiable, nil) // the flag is there
	}
}

// noEmptyFlag refuses flags that are given and empty: a variable of a script that is not set must not do the opposite of
// what was meant. An empty setting of the server is one that is not set, whatever the file and the variables say.
func noEmptyFlag(c *cobra.Command, _ []string) (err error) {
	c.Flags().Visit(func(f *pflag.Flag) {
		if _, may := f.Annotations[emptiable]; may {
			return
		}
		empty := strings.TrimSpace(f.Value.String()) == ""
		switch v := f.Value.(type) {
		case *settingFlag:
			return
		case pflag.SliceValue:
			empty = len(v.GetSlice()) == 0
		}
		if empty {
			err = usageError{fmt.Errorf("--%s is given and empty", f.Name)}
		}
	})
	return err
}
