package nats

import (
	"context"
	"time"
)

// keep writes snapshots when they are due, and sweeps blobs to which nothing refers, until ctx ends.
func (s *Store) keep(ctx context.Context) {
	ticker := time.NewTicker(s.options.remember / 10)
	defer ticker.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-s.due:
			err = s.save(ctx)
		case <-ticker.C:
			err = s.tidy(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.options.Logger.Warn("the stream could not be tidied; tried again soon", "error", err)
		}
	}
}

// tidy does what should have been done by nodes that are gone.
func (s *Store) tidy(ctx context.Context) error {
	before := s.options.Now().Add(-s.options.remember)
	var blobs []string
	s.mu.RLock()
	v := s.view
	if v == nil || s.doubt {
		s.mu.RUnlock()
		return nil
	}
	keys, late := v.keys, v.grown(2*s.options.snapshotEvery)
	for blob, l := range v.loose {
		if l.at.Before(before) && len(blobs) < maxSweep {
			blobs = append(blobs, blob)
		}
	}
	s.mu.RUnlock()
	if late {
		if err := s.save(ctx); err != nil {
			return err
		}
	}
	if len(blobs) == 0 {
		return nil
	}
	// The log says so first: a writer that had them in hand learns of it, and writes them anew.
	if done, err := s.note(ctx, record{Clean: &clean{Keep: -1, Swept: blobs}}); !done || err != nil {
		return err
	}
	for _, blob := range blobs {
		s.erase(ctx, keys, blob)
	}
	return nil
}

// maxSweep is how many blobs one sweep takes.
const maxSweep = 1000
