package main

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

var hostPattern = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// origins reads origins as browsers write them, so that each is found when one asks.
func origins(into *[]string) parser {
	read := list(into)
	return func(value any) error {
		if err := read(value); err != nil {
			return err
		}
		for i, text := range *into {
			origin, ok := parseOrigin(text)
			if !ok {
				return fmt.Errorf("is not a list of origins such as https://console.example.com:8443: http or https, a host, perhaps a port, and nothing else")
			}
			(*into)[i] = origin
		}
		return nil
	}
}

// parseOrigin returns an origin in lower case and without the port that its scheme has anyway.
func parseOrigin(text string) (origin string, ok bool) {
	u, err := url.Parse(strings.ToLower(text))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Scheme+"://"+u.Host != strings.ToLower(text) {
		return "", false
	}
	host, port := u.Hostname(), u.Port()
	if ip, err := netip.ParseAddr(host); !hostPattern.MatchString(host) && (err != nil || !ip.Is6() || ip.Zone() != "") {
		return "", false
	}
	if n, err := strconv.ParseUint(port, 10, 16); strings.HasSuffix(u.Host, ":") || port != "" && (err != nil || n == 0 || port[0] == '0') {
		return "", false
	}
	if u.Scheme == "http" && port == "80" || u.Scheme == "https" && port == "443" {
		u.Host = strings.TrimSuffix(u.Host, ":"+port)
	}
	return u.Scheme + "://" + u.Host, true
}

// httpHosts reads the hosts that a policy may call. They have no port: OPA asks for the host alone.
func httpHosts(into *[]string) parser {
	read := list(into)
	return func(value any) error {
		if err := read(value); err != nil {
			return err
		}
		for _, host := range *into {
			if !hostPattern.MatchString(host) {
				return fmt.Errorf("holds %q: it must be hosts such as api.example.com, without ports and with commas between them", host)
			}
		}
		return nil
	}
}
