package main

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dynconfig/dynconfig/core"
)

// parser reads a setting's value, as a flag, a variable or a line of YAML has it. Its error is the end of a sentence that
// begins with the setting's name, and never repeats the value of a secret.
type parser func(value any) error

// plain makes a parser of one that reads text.
func plain(parse func(string) error) parser {
	return func(value any) error {
		switch value.(type) {
		case map[string]any, []any:
			return fmt.Errorf("is not a plain value")
		case nil:
			return parse("")
		}
		return parse(strings.TrimSpace(fmt.Sprint(value)))
	}
}

func text(into *string) parser {
	return plain(func(s string) error { *into = s; return nil })
}

func path(into *string) parser {
	return plain(func(s string) error {
		if *into = s; s == "" {
			return fmt.Errorf("is empty")
		}
		return nil
	})
}

// list reads items with commas between them, or a list of YAML.
func list(into *[]string) parser {
	return func(value any) error {
		*into = []string{}
		switch v := value.(type) {
		case nil:
		case []any:
			for _, item := range v {
				*into = append(*into, fmt.Sprint(item))
			}
		case map[string]any:
			return fmt.Errorf("is not a list")
		default:
			for item := range strings.SplitSeq(fmt.Sprint(v), ",") {
				if item = strings.TrimSpace(item); item != "" {
					*into = append(*into, item)
				}
			}
		}
		return nil
	}
}

func yes(into *bool) parser {
	return plain(func(s string) (err error) {
		if *into, err = strconv.ParseBool(s); err != nil {
			return fmt.Errorf("is %q: it must be true or false", s)
		}
		return nil
	})
}

func whole(into *int, least, most int) parser {
	return plain(func(s string) (err error) {
		if *into, err = strconv.Atoi(s); err != nil || *into < least || *into > most {
			return fmt.Errorf("is %q: it must be a whole number from %d to %d", s, least, most)
		}
		return nil
	})
}

func oneOf(into *string, words ...string) parser {
	return plain(func(s string) error {
		if *into = s; !slices.Contains(words, s) {
			return fmt.Errorf("is %q: it must be one of %s", s, strings.Join(words, ", "))
		}
		return nil
	})
}

func duration(into *time.Duration, least, most time.Duration) parser {
	return plain(func(s string) (err error) {
		if *into, err = parseDuration(s); err != nil || *into < least || *into > most {
			return fmt.Errorf("is %q: it must be a number of seconds or a duration such as 30s or 1h, from %v to %v", s, least, most)
		}
		return nil
	})
}

// parseDuration reads whole seconds or a Go duration.
func parseDuration(s string) (time.Duration, error) {
	if seconds, err := strconv.ParseInt(s, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second, nil
	}
	return time.ParseDuration(s)
}

func address(into *string) parser {
	return plain(func(s string) error {
		*into = s
		_, port, err := net.SplitHostPort(s)
		if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n > 65535 {
			return fmt.Errorf("is %q: it must be host:port, such as 127.0.0.1:8080", s)
		}
		return nil
	})
}

func httpURL(into *string) parser {
	return plain(func(s string) error {
		*into = s
		if s == "" {
			return nil
		}
		if u, err := url.Parse(s); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("is not an http or https URL")
		}
		return nil
	})
}

// retention reads "age=168h,commits=1000000,versions=10", each part optional.
func retention(into *core.Retention) parser {
	return plain(func(s string) error {
		seen := map[string]bool{}
		for part := range strings.SplitSeq(s, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			var err error
			switch name {
			case "age":
				into.Age, err = parseDuration(value)
			case "commits":
				into.Commits, err = strconv.ParseInt(value, 10, 64)
			case "versions":
				into.Versions, err = strconv.Atoi(value)
			default:
				err = fmt.Errorf("unknown part")
			}
			if seen[name] {
				return fmt.Errorf("is %q: it says %s twice", s, name)
			}
			seen[name] = true
			if err != nil || into.Age < 0 || into.Commits < 0 || into.Versions < 0 {
				return fmt.Errorf(`is %q: it must be such as "age=168h,commits=1000000,versions=10"`, s)
			}
		}
		return nil
	})
}

// missing is the parser of what belongs to a part that this build does not have.
func missing(what string) parser {
	return plain(func(s string) error {
		if s == "" {
			return nil
		}
		return fmt.Errorf("is set, but this build has no %s", what)
	})
}
