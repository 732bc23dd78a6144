package auth

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/dynconfig/dynconfig/core"
)

// Proxies are the networks whose X-Forwarded-For is believed.
type Proxies []netip.Prefix

// ParseProxies reads networks ("10.0.0.0/8") and addresses ("::1").
func ParseProxies(texts []string) (Proxies, error) {
	var p Proxies
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			address, err := netip.ParseAddr(text)
			if err != nil || address.Zone() != "" {
				return nil, core.Errorf(core.ErrInvalid, "--trusted-proxy %q is not a network such as 10.0.0.0/8 or an address", text)
			}
			prefix = netip.PrefixFrom(address, address.BitLen())
		}
		if address := prefix.Addr(); address.Is4In6() && prefix.Bits() >= 96 {
			prefix = netip.PrefixFrom(address.Unmap(), prefix.Bits()-96)
		}
		p = append(p, prefix.Masked())
	}
	return p, nil
}

// Address returns the address that a request comes from: the peer's or, where the peer is a trusted proxy, the last one
// in X-Forwarded-For that is not. It is "" where the peer has none, as on a Unix socket.
func (p Proxies) Address(r *http.Request) string {
	address, ok := parseAddress(r.RemoteAddr)
	if !ok {
		return ""
	}
	if !p.contain(address) {
		return address.String()
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, ok := parseAddress(strings.TrimSpace(hops[i]))
		if !ok {
			break // what stands further left was not written by a proxy that we trust
		}
		address = hop
		if !p.contain(hop) {
			break
		}
	}
	return address.String()
}

func (p Proxies) contain(a netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// parseAddress reads an address with or without a port.
func parseAddress(s string) (netip.Addr, bool) {
	if withPort, err := netip.ParseAddrPort(s); err == nil {
		return withPort.Addr().Unmap().WithZone(""), true
	}
	a, err := netip.ParseAddr(s)
	return a.Unmap().WithZone(""), err == nil
}

// Network is what failures of an address are counted under: of an IPv6 address the /64, which is one subscriber's.
func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Is4() {
		return address
	}
	prefix, err := a.Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}
