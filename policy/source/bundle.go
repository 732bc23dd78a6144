package source

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/policy"
)

var _ Source = (*Bundle)(nil)

// BundleOptions are a Bundle's optional parts; the zero value works for a file and for https.
type BundleOptions struct {
	Key    []byte       // PEM of the key by which the bundle must be signed; nil: it need not be
	Client *http.Client // nil: one with a limit of time
}

// Bundle is a Source that is an OPA bundle, in a file or on a server.
type Bundle struct {
	file   string   // empty: there is a url
	url    *url.URL // nil: there is a file
	client *http.Client
	verify *bundle.VerificationConfig // nil: it need not be signed

	etag string
	sum  [sha256.Size]byte // of what last came
	last policy.Set        // what was in it
}

// How often a Bundle is read.
const (
	fileEvery = time.Second
	urlEvery  = 30 * time.Second
	fetchTime = 20 * time.Second
)

// NewBundle makes the Source of a bundle that is at an address, or else in a file. What comes over plain HTTP must be
// signed.
func NewBundle(from string, o BundleOptions) (*Bundle, error) {
	b := &Bundle{file: from, client: &http.Client{Timeout: fetchTime}}
	if o.Client != nil {
		client := *o.Client
		b.client = &client
	}
	b.client.CheckRedirect = b.redirect
	if o.Key != nil {
		key, err := keyOf(o.Key)
		if err != nil {
			return nil, err
		}
		b.verify = bundle.NewVerificationConfig(map[string]*bundle.KeyConfig{keyName: key}, keyName, "", nil)
	}
	if u, err := url.Parse(from); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		b.file, b.url = "", u
		if u.Scheme == "http" && b.verify == nil {
			return nil, errPlain
		}
	}
	return b, nil
}

var errPlain = core.Errorf(core.ErrInvalid, "A policy bundle over http:// must be signed: take https://, or name the key that it is signed by")

// maxRedirects is how often a server may send on to another address.
const maxRedirects = 5

// redirect follows a server's word to another address, unless what comes from there could be anybody's.
func (b *Bundle) redirect(to *http.Request, via []*http.Request) error {
	switch {
	case len(via) > maxRedirects:
		return errors.New("too many redirects")
	case to.URL.Scheme != "https" && b.verify == nil:
		return errPlain
	}
	return nil
}

// Kind is "bundle".
func (*Bundle) Kind() string { return "bundle" }

// Every is a second for a file and half a minute for a server.
func (b *Bundle) Every() time.Duration {
	if b.url == nil {
		return fileEvery
	}
	return urlEvery
}

// Read fetches the bundle, unless it is the one that was read last.
func (b *Bundle) Read(ctx context.Context) (policy.Set, error) {
	text, etag, err := b.fetch(ctx)
	if err != nil {
		return policy.Set{}, err
	}
	if text == nil {
		return b.last, nil
	}
	sum := sha256.Sum256(text)
	if b.last.Revision != "" && sum == b.sum {
		b.etag = etag
		return b.last, nil
	}
	set, err := b.unpack(text)
	if err != nil {
		return policy.Set{}, err
	}
	b.etag, b.sum, b.last = etag, sum, set
	return set, nil
}

// fetch returns what is there; nil if it is what was read last.
func (b *Bundle) fetch(ctx context.Context) (text []byte, etag string, err error) {
	if b.url == nil {
		file, err := os.Open(b.file)
		if err != nil {
			return nil, "", core.Errorf(core.ErrInvalid, "Policy bundle %s cannot be read", b.file).Because(err)
		}
		defer func() { _ = file.Close() }()
		text, err = bounded(file)
		return text, "", err
	}
	away := core.Errorf(core.ErrUnavailable, "The policy bundle cannot be fetched from %s", b.url.Host)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url.String(), nil)
	if err != nil {
		return nil, "", away
	}
	if b.etag != "" {
		r.Header.Set("If-None-Match", b.etag)
	}
	answer, err := b.client.Do(r)
	if err != nil {
		var at *url.Error
		if errors.As(err, &at) { // it quotes the address, which may hold a password
			err = at.Err
		}
		return nil, "", away.Because(err)
	}
	defer func() { _ = answer.Body.Close() }()
	switch {
	case answer.StatusCode == http.StatusNotModified && b.etag != "":
		return nil, b.etag, nil
	case answer.StatusCode != http.StatusOK:
		return nil, "", away.Because(errors.New("it answered " + answer.Status))
	}
	text, err = bounded(answer.Body)
	return text, answer.Header.Get("ETag"), err
}

func bounded(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	switch {
	case err != nil:
		return nil, core.Errorf(core.ErrUnavailable, "The policy bundle was not read to the end").Because(err)
	case len(text) > MaxBytes:
		return nil, errLarge
	}
	return text, nil
}

var errLarge = core.Errorf(core.ErrTooLarge, "The policy bundle holds more than %d bytes or %d files", MaxBytes, policy.MaxModules)

// measure finds out what a bundle would take unpacked, before it is.
func measure(text []byte) error {
	unzipped, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return err
	}
	size, files := int64(0), 0
	for archive := tar.NewReader(io.LimitReader(unzipped, 2*MaxBytes)); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		size, files = size+header.Size, files+1
		if header.Size < 0 || size > MaxBytes || files > 2*policy.MaxModules {
			return errLarge
		}
	}
}

func (b *Bundle) unpack(text []byte) (policy.Set, error) {
	err := measure(text)
	var read bundle.Bundle
	if err == nil {
		r := bundle.NewCustomReader(bundle.NewTarballLoaderWithBaseURL(bytes.NewReader(text), "")).
			WithSizeLimitBytes(MaxBytes).WithRegoVersion(ast.RegoV1)
		if b.verify != nil {
			r = r.WithBundleVerificationConfig(b.verify)
		} else {
			r = r.WithSkipBundleVerification(true)
		}
		read, err = r.Read()
	}
	var known *core.Error
	switch {
	case errors.As(err, &known):
		return policy.Set{}, known
	case err != nil:
		return policy.Set{}, core.Errorf(core.ErrInvalid, "The policy bundle cannot be read: %v", err)
	case read.Type() != bundle.SnapshotBundleType:
		return policy.Set{}, core.Errorf(core.ErrInvalid, "The policy bundle is a delta: only whole ones are taken")
	case len(read.WasmModules)+len(read.PlanModules) > 0:
		return policy.Set{}, core.Errorf(core.ErrInvalid, "The policy bundle holds compiled policies: only Rego is taken")
	}
	set := policy.Set{Modules: map[string]string{}, Data: read.Data}
	for _, m := range read.Modules {
		if name := strings.TrimPrefix(path.Clean(m.Path), "/"); !hidden(name) { // as in a directory
			set.Modules[name] = string(m.Raw)
		}
	}
	if len(set.Modules) == 0 {
		return policy.Set{}, core.Errorf(core.ErrInvalid, "The policy bundle holds no .rego file")
	}
	if set = named(set); read.Manifest.Revision != "" {
		set.Revision = read.Manifest.Revision
	}
	return set, nil
}

// hidden reports whether a file, or a folder that it is in, has a name that begins with a dot.
func hidden(name string) bool {
	return strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "../") || strings.Contains(name, "/.")
}
