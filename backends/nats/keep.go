package nats

import (
	"context"
	"time"
)

// keep writes snapshots when they are due, and sweeps blobs to which nothing refers, until ctx ends.
func (s *Store) keep(ctx context.Context) {
	ticker := time.NewTicker(s.options.tidyEvery)
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
	s.mu.RLock()
	late := s.view != nil && !s.doubt && s.view.grown(2*s.options.snapshotEvery)
	s.mu.RUnlock()
	if late {
		if err := s.save(ctx); err != nil {
			return err
		}
	}
	return s.sweep(ctx)
}

// maxSweep is how many blobs one sweep takes.
const maxSweep = 1000

// sweep deletes blobs to which nothing has come to refer. The log says so first, right behind the place at which nothing
// did: a writer that has one in hand comes too late, and writes it anew.
func (s *Store) sweep(ctx context.Context) error {
	ctx, cancel := s.timeout(ctx)
	defer cancel()
	s.writing.Lock()
	defer s.writing.Unlock()
	p, blobs, err := s.loose(ctx)
	if err == nil && len(blobs) > 0 {
		if _, err = s.Sync(ctx); err == nil { // a snapshot may have come meanwhile that refers to one of them
			p, blobs, err = s.loose(ctx)
		}
	}
	if err != nil || len(blobs) == 0 {
		return err
	}
	if done, err := s.append(ctx, p, record{Clean: &clean{Keep: -1, Swept: blobs}}); !done || err != nil {
		return err
	}
	for _, blob := range blobs {
		s.erase(ctx, p.keys, blob)
	}
	return nil
}

// loose returns the blobs to which nothing has come to refer for long, and where in the log that holds.
func (s *Store) loose(ctx context.Context) (p place, blobs []string, err error) {
	before := s.options.Now().Add(-looseFor)
	err = s.await(ctx, func(v *view) bool {
		p = v.place()
		for blob, l := range v.loose {
			if l.at.Before(before) && len(blobs) < maxSweep {
				blobs = append(blobs, blob)
			}
		}
		return true
	})
	return p, blobs, err
}
