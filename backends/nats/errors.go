package nats

import (
	"errors"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/dynconfig/dynconfig/core"
)

// Codes of the server's errors that nats.go has no name for.
const (
	codeResources   = 10023 // no resources left in the account or the server
	codeMaxBytes    = 10077 // of the stream; also of its messages
	codeStorage     = 10047
	codeMemory      = 10028
	codeNoPeers     = 10005 // no servers for the replicas
	codeReplicas    = 10074 // more than one on a server without a cluster
	codeWrongLast   = jetstream.JSErrCodeStreamWrongLastSequence
	codeWrongLastIn = jetstream.JSErrCodeStreamWrongLastSequenceConstant
)

func codeOf(err error) jetstream.ErrorCode {
	if e := (*jetstream.APIError)(nil); errors.As(err, &e) {
		return e.ErrorCode
	}
	if e := jetstream.JetStreamError(nil); errors.As(err, &e) && e.APIError() != nil {
		return e.APIError().ErrorCode
	}
	return 0
}

// fault turns what nats.go says into one of our kinds. What is not known for certain to have failed is ErrUnavailable, so
// that the caller repeats it.
func fault(err error) error {
	if e := (*core.Error)(nil); errors.As(err, &e) {
		return e
	}
	switch codeOf(err) {
	case codeResources, codeMaxBytes, codeStorage, codeMemory:
		return core.Errorf(core.ErrUnavailable, "Store is full: raise the limits of the NATS stream, account or server").Because(err)
	case codeNoPeers, codeReplicas:
		return core.Errorf(core.ErrUnavailable, "NATS has not as many servers as replicas were asked for").Because(err)
	case jetstream.JSErrCodeStreamMessageExceedsMaximum:
		return core.Errorf(core.ErrTooLarge, "Transaction is larger than the NATS stream takes").Because(err)
	case jetstream.JSErrCodeJetStreamNotEnabled, jetstream.JSErrCodeJetStreamNotEnabledForAccount:
		return core.Errorf(core.ErrUnavailable, "NATS has JetStream switched off for this account").Because(err)
	}
	switch {
	case errors.Is(err, natsgo.ErrAuthorization), errors.Is(err, natsgo.ErrPermissionViolation), errors.Is(err, natsgo.ErrAuthExpired):
		return core.Errorf(core.ErrUnavailable, "Store refuses this server's user").Because(err)
	case errors.Is(err, natsgo.ErrMaxPayload):
		return core.Errorf(core.ErrTooLarge, "Transaction is larger than NATS takes").Because(err)
	}
	return core.Errorf(core.ErrUnavailable, "Store does not answer").Because(err)
}

// isSetting reports whether an error is of how NATS is set up, which whoever starts this server should hear at once.
func isSetting(err error) bool {
	switch codeOf(err) {
	case codeReplicas, jetstream.JSErrCodeJetStreamNotEnabled, jetstream.JSErrCodeJetStreamNotEnabledForAccount:
		return true
	}
	return false
}
