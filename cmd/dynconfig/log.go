package main

import (
	"io"
	"log/slog"
	"os"
)

// newLogger writes JSON, or text where somebody may be reading.
func newLogger(out io.Writer, s Settings) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.LogLevel)); err != nil {
		return nil, err
	}
	o := &slog.HandlerOptions{Level: level}
	if s.LogFormat == "text" || s.LogFormat == "auto" && terminal(out) {
		return slog.New(slog.NewTextHandler(out, o)), nil
	}
	return slog.New(slog.NewJSONHandler(out, o)), nil
}

func terminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
