package etcd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"

	"github.com/dynconfig/dynconfig/core"
)

// LoadTLS reads PEM files: the authorities that servers are trusted by (""; the system's), and the client's certificate and
// key (both or none). These two are read again for every connection, so that they can be renewed; all are read once now,
// to fail at once. Without any file it returns nil.
func LoadTLS(ca, cert, key string) (*tls.Config, error) {
	if ca == "" && cert == "" && key == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, unreadable("CA", ca, err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, core.Errorf(core.ErrInvalid, "etcd CA %s holds no certificate in PEM", ca)
		}
	}
	if (cert == "") != (key == "") {
		return nil, core.Errorf(core.ErrInvalid, "etcd certificate and key belong together")
	}
	if cert == "" {
		return c, nil
	}
	if _, err := loadPair(cert, key); err != nil {
		return nil, err
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return loadPair(cert, key) }
	return c, nil
}

func loadPair(cert, key string) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	var path *fs.PathError
	switch {
	case errors.As(err, &path):
		return nil, unreadable("certificate or key", path.Path, err)
	case err != nil:
		return nil, core.Errorf(core.ErrInvalid, "etcd certificate %s and key %s are no pair in PEM", cert, key).Because(err)
	}
	return &pair, nil
}

func unreadable(what, file string, err error) error {
	reason := err
	var path *fs.PathError
	if errors.As(err, &path) {
		reason = path.Err
	}
	return core.Errorf(core.ErrInvalid, "etcd %s %s cannot be read: %v", what, file, reason).Because(err)
}
