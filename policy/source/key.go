package source

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"

	"github.com/open-policy-agent/opa/v1/bundle"

	"github.com/dynconfig/dynconfig/core"
)

// keyName is that of the one key there is, whatever a signature calls it.
const keyName = "key"

// keyOf reads a public key, or a certificate, that bundles are verified by. The key says which signatures count: RS256,
// ES256, ES384, ES512 or EdDSA.
func keyOf(text []byte) (*bundle.KeyConfig, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, core.Errorf(core.ErrInvalid, "The key of the policy bundle is no PEM file")
	}
	var key any
	var err error
	switch block.Type {
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "CERTIFICATE":
		var c *x509.Certificate
		if c, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = c.PublicKey
		}
	}
	algorithm := ""
	switch key := key.(type) {
	case *rsa.PublicKey:
		algorithm = "RS256"
	case *ecdsa.PublicKey:
		algorithm = map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[key.Curve.Params().Name]
	case ed25519.PublicKey:
		algorithm = "EdDSA"
	}
	if err != nil || algorithm == "" {
		return nil, core.Errorf(core.ErrInvalid, "The key of the policy bundle is no public key or certificate that a signature can be verified by")
	}
	return &bundle.KeyConfig{Key: string(text), Algorithm: algorithm}, nil
}
