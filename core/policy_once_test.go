package core_test

import (
	"testing"

	"github.com/dynconfig/dynconfig/core"
)

func TestAChangeOfThePolicyIsMadeOnceUnderItsIdempotencyKey(t *testing.T) {
	w := start(t, core.Options{})
	written, tried := 0, 0
	change := func(user, key string, digest byte, in func()) (*core.Entry, error) {
		return w.PolicyOnce(w.ctx, as(user), core.Once{Key: key, Digest: [32]byte{digest}}, func(c core.Caller) error {
			tried++
			if in != nil {
				in()
			}
			_, err := w.WritePolicy(w.ctx, c, core.PolicyWrite{Value: []byte(`1`), Version: int64(written), Operation: "put"})
			if err == nil {
				written++
			}
			return err
		})
	}
	var busy error
	if earlier, err := change("root", "k", 1, func() { _, busy = change("root", "k", 1, nil) }); err != nil || earlier != nil || written != 1 {
		t.Fatalf("first: %+v, %v, written %d times", earlier, err, written)
	}
	want(t, busy, core.ErrConflict)
	held, err := w.Policy(w.ctx, core.PolicySet)
	if err != nil {
		t.Fatal(err)
	}
	again, err := change("root", "k", 1, nil)
	if err != nil || again == nil || again.Revision != held.Revision || !again.Modified.Equal(held.Modified) || tried != 1 {
		t.Errorf("again: %+v, %v; the first was %+v, tried %d times", again, err, held, tried)
	}
	_, err = change("root", "k", 2, nil)
	want(t, err, core.ErrInvalid)
	_, err = change("bob", "k", 1, nil) // another principal's key is another, and bob may not
	want(t, err, core.ErrForbidden)
	if earlier, err := change("root", "k2", 1, nil); err != nil || earlier != nil || written != 2 {
		t.Errorf("under another key: %+v, %v, written %d times", earlier, err, written)
	}
	_, err = w.Write(w.ctx, as("root"), core.Request{
		Writes: []core.Write{{Op: core.WritePut, Kind: core.KindKey, Name: "a", Value: []byte(`1`)}}, Idempotency: "k", Digest: [32]byte{1},
	})
	want(t, err, core.ErrInvalid)
}
