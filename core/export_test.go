package core

import "context"

// Compact runs what Run does once a minute.
func (e *Engine) Compact(ctx context.Context) error { return e.compact(ctx) }
