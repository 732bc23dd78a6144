package main

import (
	"log/slog"
	"os"

	"github.com/dynconfig/dynconfig/core"
	"github.com/dynconfig/dynconfig/observability"
)

// openAudit opens the audit log in the data directory, which is made if it does not exist.
func openAudit(dir string, logger *slog.Logger) (*observability.Audit, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, failf("Data directory %s cannot be written: %v", dir, innermost(err))
	}
	audit, err := observability.OpenAudit(dir, observability.AuditOptions{Logger: logger})
	if err != nil {
		return nil, failf("Audit log in %s cannot be written: %v", dir, innermost(err))
	}
	return audit, nil
}

func (s *Server) auditHealth() string {
	if s.audit == nil {
		return core.Healthy
	}
	return s.audit.Health()
}
