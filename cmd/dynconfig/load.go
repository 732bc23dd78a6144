package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
	decoder "go.yaml.in/yaml/v3"

	"github.com/dynconfig/dynconfig/core"
)

const variablePrefix = "DYNCONFIG_"

// clientVariables are those of the other commands; a server leaves them alone.
var clientVariables = []string{"DYNCONFIG_SERVER", "DYNCONFIG_TOKEN", "DYNCONFIG_ENV", "DYNCONFIG_CONFIG"}

// addFlags adds a flag for each setting, or for those named, and one for the file.
func addFlags(flags *pflag.FlagSet, names ...string) {
	flags.String("config", "", "YAML file of settings (DYNCONFIG_CONFIG)")
	for _, row := range new(Settings).table() {
		if len(names) > 0 && !slices.Contains(names, row.name) {
			continue
		}
		f := &settingFlag{text: row.def, kind: "string"}
		if row.def == "true" || row.def == "false" {
			f.kind = "bool"
		}
		flags.Var(f, row.name, row.usage)
		if f.kind == "bool" {
			flags.Lookup(row.name).NoOptDefVal = "true"
		}
		if row.usage == "" {
			_ = flags.MarkHidden(row.name)
		}
	}
}

// loadSettings merges flags over variables over a YAML file (configFile, "" for none) over defaults, and reads the settings
// that there are flags for. Its error is one sentence about one setting.
func loadSettings(flags *pflag.FlagSet, environ []string, configFile string) (Settings, error) {
	var s Settings
	rows := s.table()
	k := koanf.New(".")
	if configFile != "" {
		if err := k.Load(file.Provider(configFile), lines{rows, configFile}); err != nil {
			return s, fileError(configFile, err)
		}
	}
	for _, prefix := range []string{"", variablePrefix} { // DYNCONFIG_ADMINS wins over ADMINS
		v := variables{rows: rows, prefix: prefix}
		err := k.Load(env.Provider("", env.Opt{Prefix: prefix, TransformFunc: v.transform, EnvironFunc: func() []string { return environ }}), nil)
		if err = errors.Join(err, v.err); err != nil {
			return s, err
		}
	}
	given := posflag.ProviderWithValue(flags, ".", k, func(name, value string) (string, any) { return name, value })
	if err := k.Load(given, nil); err != nil {
		return s, err
	}
	for _, row := range rows {
		if flags.Lookup(row.name) == nil {
			continue
		}
		if err := row.parse(k.Get(row.name)); err != nil {
			return s, failf("Setting %s %v", row.name, err)
		}
	}
	return s, nil
}

// lines parses a file of settings, whose names may be written as flags or as variables.
type lines struct {
	rows []setting
	file string
}

func (l lines) Unmarshal(text []byte) (map[string]any, error) {
	raw, err := yaml.Parser().Unmarshal(text)
	if err != nil {
		reason := strings.Join(strings.Fields(strings.ReplaceAll(err.Error(), "yaml: ", "")), " ")
		return nil, failf("%s is not YAML with one setting a line: %s", l.file, reason)
	}
	documents := decoder.NewDecoder(bytes.NewReader(text))
	for n := 0; ; n++ {
		if err := documents.Decode(new(decoder.Node)); errors.Is(err, io.EOF) {
			break
		} else if err != nil || n > 0 {
			return nil, failf("%s holds more than one document of YAML", l.file)
		}
	}
	settings := map[string]any{}
	for written, value := range raw {
		name := strings.ToLower(strings.ReplaceAll(written, "_", "-"))
		name = strings.TrimPrefix(name, "dynconfig-")
		if !slices.ContainsFunc(l.rows, func(row setting) bool { return row.name == name }) {
			return nil, failf("%s holds an unknown setting: %s", l.file, written)
		}
		if _, twice := settings[name]; twice {
			return nil, failf("%s holds the setting %s twice", l.file, name)
		}
		settings[name] = value
	}
	return settings, nil
}

// Marshal is never asked for.
func (l lines) Marshal(map[string]any) ([]byte, error) { return nil, errors.ErrUnsupported }

// variables turns the environment's names into those of settings. Empty is unset, but for ADMINS: who sets it to nothing
// means something.
type variables struct {
	rows   []setting
	prefix string
	err    error
}

func (v *variables) transform(variable, value string) (string, any) {
	for _, row := range v.rows {
		own := variablePrefix + strings.ToUpper(strings.ReplaceAll(row.name, "-", "_"))
		if v.prefix == "" && variable != row.other || v.prefix != "" && variable != own {
			continue
		}
		if value == "" && row.name != "admins" {
			return "", nil
		}
		return row.name, value
	}
	if v.prefix != "" && !slices.Contains(clientVariables, variable) {
		v.err = failf("Variable %s is no setting: `dynconfig serve --help` lists them", variable)
	}
	return "", nil
}

// fileError says in one sentence why a file could not be read.
func fileError(name string, err error) error {
	var known *core.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, fs.ErrNotExist):
		return failf("File %s does not exist", name)
	case errors.Is(err, fs.ErrPermission):
		return failf("File %s may not be read", name)
	}
	return failf("File %s cannot be read: %v", name, errors.Unwrap(err))
}

// configFile is where the file of settings is, by flag or variable.
func configFile(flags *pflag.FlagSet) string {
	if name, err := flags.GetString("config"); err == nil && name != "" {
		return name
	}
	return os.Getenv("DYNCONFIG_CONFIG")
}
