package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"syscall"
)

// listen takes the port, and serves TLS 1.3 on it where there is a certificate.
func listen(ctx context.Context, s Settings) (net.Listener, error) {
	var config *tls.Config
	if s.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(s.TLSCert, s.TLSKey)
		if err != nil {
			return nil, failf("TLS certificate %s and key %s cannot be used: %v", s.TLSCert, s.TLSKey, err)
		}
		config = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}}
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", s.Listen)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, failf("Address %s is in use by another program", s.Listen)
	case errors.Is(err, syscall.EACCES):
		return nil, failf("Address %s may not be listened on: ports below 1024 need a privilege", s.Listen)
	case err != nil:
		return nil, failf("Address %s cannot be listened on: %v", s.Listen, err)
	}
	if config != nil {
		return tls.NewListener(l, config), nil
	}
	return l, nil
}
