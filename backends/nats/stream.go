package nats

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/dynconfig/dynconfig/core"
)

// ensure returns the stream and its layout. One that is not there is made: of several nodes that try, one wins.
func (s *Store) ensure(ctx context.Context) (jetstream.Stream, layout, error) {
	for range 3 {
		stream, err := s.js.Stream(ctx, s.options.Prefix)
		if err == nil {
			info := stream.CachedInfo()
			if want, have := s.options.Replicas, info.Config.Replicas; want > have {
				s.options.Logger.Warn("the stream has fewer replicas than asked for, and keeps them: change it with NATS's own tools", "replicas", have)
			}
			keys, err := s.check(info)
			return stream, keys, err
		}
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil, layout{}, fault(err)
		}
		keys := layout{s.options.Prefix, newEpoch()}
		stream, err = s.js.CreateStream(ctx, jetstream.StreamConfig{
			Name: keys.prefix, Description: "DynConfig: the commit log", Subjects: []string{keys.all()},
			Storage: jetstream.FileStorage, Replicas: max(1, s.options.Replicas),
			Discard: jetstream.DiscardNew, AllowDirect: true, AllowRollup: true,
		})
		if err == nil {
			s.options.Logger.Info("made the stream", "stream", keys.prefix, "epoch", keys.epoch)
			return stream, keys, nil
		}
		if !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return nil, layout{}, fault(err)
		}
	}
	return nil, layout{}, core.Errorf(core.ErrUnavailable, "NATS stream is made and deleted all the time")
}

// check refuses a stream that is not ours or that drops messages by itself.
func (s *Store) check(info *jetstream.StreamInfo) (layout, error) {
	c := info.Config
	keys, ours := layoutOf(s.options.Prefix, c.Subjects)
	switch {
	case !ours:
		return layout{}, core.Errorf(core.ErrInternal, "NATS stream %q is not one of DynConfig: choose another --nats-prefix", c.Name)
	case c.MaxAge > 0, c.MaxMsgsPerSubject > 0, c.Retention != jetstream.LimitsPolicy,
		c.Discard == jetstream.DiscardOld && (c.MaxBytes > 0 || c.MaxMsgs > 0), !c.AllowRollup, c.DenyPurge:
		return layout{}, core.Errorf(core.ErrInternal, "NATS stream %q is set to drop messages, or to refuse what DynConfig needs: "+
			"no maximum age or messages per subject, discard new, allow rollup and purge", c.Name)
	}
	return keys, nil
}

// renew gives the stream another epoch, because it lost commits. Its old messages stay.
func (s *Store) renew(ctx context.Context, stream jetstream.Stream) error {
	c := stream.CachedInfo().Config
	keys := layout{s.options.Prefix, newEpoch()}
	c.Subjects = []string{keys.all()}
	s.options.Logger.Error("the stream has lost commits that were acknowledged: it begins a new epoch", "stream", c.Name, "epoch", keys.epoch)
	if _, err := s.js.UpdateStream(ctx, c); err != nil {
		return fault(err)
	}
	return errRenewed
}

// found writes the first record of a log, which is empty, so that a stream without any is known to have lost what it had.
// Of several nodes that try, one wins.
func (s *Store) found(ctx context.Context, stream jetstream.Stream, keys layout) error {
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(keys.prefix+".*."+kindLog))
	switch {
	case err != nil:
		return fault(err)
	case len(info.State.Subjects) > 0:
		return nil
	case info.State.LastSeq > 0:
		if err := s.renew(ctx, stream); !errors.Is(err, errRenewed) {
			return err
		}
		if _, keys, err = s.ensure(ctx); err != nil {
			return err
		}
	}
	body, err := s.codec.put(record{})
	if err != nil {
		return err
	}
	first, err := s.codec.put(message{Self: rand.Uint64() | 1, Body: body})
	if err != nil {
		return err
	}
	_, err = s.publish(ctx, keys.of(kindLog), first, jetstream.WithExpectLastSequencePerSubject(0))
	if err != nil && !isWrongLast(err) {
		return fault(err)
	}
	return errRenewed
}

// errRenewed says that the stream has another epoch now.
var errRenewed = core.Errorf(core.ErrUnavailable, "Store begins a new epoch")

// holds reports whether the stream goes on from where a view stands: its last record must still be there.
func (s *Store) holds(ctx context.Context, stream jetstream.Stream, v *view) (same, lost bool, err error) {
	for range 3 {
		info, err := stream.Info(ctx)
		if err != nil {
			return false, false, fault(err)
		}
		if lost = info.State.LastSeq < v.seq; !lost {
			break
		}
		select { // a leader that has just been elected may yet learn of it
		case <-time.After(lossPause):
		case <-ctx.Done():
			return false, false, fault(ctx.Err())
		}
	}
	if lost || v.selfSeq == 0 {
		return !lost, lost, nil
	}
	m, err := s.message(ctx, stream, v.selfSeq)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return false, false, nil // compacted meanwhile, by another node
	case err != nil:
		return false, false, err
	}
	return m.Self == v.self, m.Self != v.self, nil
}

const lossPause = 300 * time.Millisecond

// hasMajority reports whether most of the servers of a stream have lately been in touch with the one that answered: else
// another may lead by now, and what this one knows may be old.
func hasMajority(c *jetstream.ClusterInfo) bool {
	if c == nil || len(c.Replicas) == 0 {
		return true
	}
	near := 1
	for _, r := range c.Replicas {
		if !r.Offline && r.Active < touch {
			near++
		}
	}
	return 2*near > len(c.Replicas)+1
}

// touch is how long ago the servers of a stream, who greet each other every second, may have been in touch.
const touch = 2 * time.Second
