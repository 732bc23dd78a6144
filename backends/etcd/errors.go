package etcd

import (
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dynconfig/dynconfig/core"
)

var (
	// errMoved is the private cause of a read at a revision of etcd that was compacted meanwhile.
	errMoved = errors.New("etcd compacted the revision that was read")
	// errAway is the private cause where it is not known for certain that etcd refused, and another member or a later moment
	// may bring an answer.
	errAway = errors.New("etcd is away")
)

// fault turns what etcd's client says into one of our kinds. What is not known for certain to have failed is
// ErrUnavailable, so that the caller repeats it.
func fault(err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrTooManyOps):
		return core.Errorf(core.ErrTooLarge, "etcd takes fewer operations in one transaction than was said: see its --max-txn-ops").Because(err)
	case errors.Is(err, rpctypes.ErrRequestTooLarge),
		status.Code(err) == codes.ResourceExhausted && strings.Contains(err.Error(), "larger than max"):
		return core.Errorf(core.ErrTooLarge, "etcd takes fewer bytes in one request than was said: see its --max-request-bytes").Because(err)
	case errors.Is(err, rpctypes.ErrNoSpace):
		return core.Errorf(core.ErrUnavailable, "Store is full: compact and defragment etcd or raise its quota, then disarm its alarm").Because(err)
	case errors.Is(err, rpctypes.ErrCorrupt):
		return core.Errorf(core.ErrUnavailable, "Store says that its data is corrupt: see etcd's alarms").Because(err)
	case errors.Is(err, rpctypes.ErrCompacted):
		return core.Errorf(core.ErrUnavailable, "Store was compacted during the read").Because(fmt.Errorf("%w: %w", errMoved, err))
	case refusesUser(err):
		return core.Errorf(core.ErrUnavailable, "Store refuses this server's user").Because(err)
	}
	return core.Errorf(core.ErrUnavailable, "Store does not answer").Because(fmt.Errorf("%w: %w", errAway, err))
}

// refusesUser reports whether the password is wrong, the user has no right to the prefix, or there should be one.
func refusesUser(err error) bool {
	for _, refusal := range []error{
		rpctypes.ErrPermissionDenied, rpctypes.ErrAuthFailed, rpctypes.ErrUserEmpty, rpctypes.ErrUserNotFound,
		rpctypes.ErrInvalidAuthToken, rpctypes.ErrAuthOldRevision,
	} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// errTooLarge is the answer to what would not fit a request.
func errTooLarge() error {
	return core.Errorf(core.ErrTooLarge, "Transaction with its ACLs is larger than one request to etcd may be")
}
