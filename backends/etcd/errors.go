package etcd

import (
	"errors"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dynconfig/dynconfig/core"
)

// errMoved is the private cause of a read at a revision of etcd that was compacted meanwhile.
var errMoved = errors.New("etcd compacted the revision that was read")

// fault turns what etcd's client says into one of our kinds. What is not known for certain to have failed is
// ErrUnavailable, so that the caller repeats it.
func fault(err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrRequestTooLarge), errors.Is(err, rpctypes.ErrTooManyOps):
		return core.Errorf(core.ErrTooLarge, "Transaction is larger than etcd takes").Because(err)
	case errors.Is(err, rpctypes.ErrNoSpace):
		return core.Errorf(core.ErrUnavailable, "Store is full: compact and defragment etcd or raise its quota, then disarm its alarm").Because(err)
	case errors.Is(err, rpctypes.ErrCompacted):
		return core.Errorf(core.ErrUnavailable, "Store was compacted during the read").Because(errors.Join(errMoved, err))
	case errors.Is(err, rpctypes.ErrPermissionDenied), errors.Is(err, rpctypes.ErrAuthFailed),
		errors.Is(err, rpctypes.ErrUserEmpty), errors.Is(err, rpctypes.ErrInvalidAuthToken):
		return core.Errorf(core.ErrUnavailable, "Store refuses this server's user").Because(err)
	case status.Code(err) == codes.ResourceExhausted && strings.Contains(err.Error(), "larger than max"):
		return core.Errorf(core.ErrTooLarge, "Transaction is larger than etcd takes").Because(err)
	}
	return core.Errorf(core.ErrUnavailable, "Store does not answer").Because(err)
}
