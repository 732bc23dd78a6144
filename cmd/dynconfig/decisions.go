package main

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/dynconfig/dynconfig/observability"
	"github.com/dynconfig/dynconfig/policy"
)

// decisionLog reads which share of the allowed accesses is recorded, beside every denied one: "denied" none, "all",
// "sampled=0.01" one in a hundred.
func decisionLog(into *float64) parser {
	return plain(func(s string) error {
		text, sampled := strings.CutPrefix(s, "sampled=")
		share, err := strconv.ParseFloat(text, 64)
		switch {
		case s == "denied":
			share = 0
		case s == "all":
			share = 1
		case !sampled || err != nil || !(share > 0 && share <= 1):
			return fmt.Errorf("is none of denied, all, and sampled= with a share above 0 and up to 1, such as sampled=0.01")
		}
		*into = share
		return nil
	})
}

// openDecisions opens the log of decisions in the data directory, which is made if it does not exist.
func openDecisions(s Settings, logger *slog.Logger) (*observability.DecisionLog, *policy.Records, error) {
	if err := os.MkdirAll(s.DataDir, 0o700); err != nil {
		return nil, nil, failf("Data directory %s cannot be written: %v", s.DataDir, innermost(err))
	}
	log, err := observability.OpenDecisionLog(s.DataDir, observability.DecisionLogOptions{Lost: policy.LostRecord, Logger: logger})
	if err != nil {
		return nil, nil, failf("Decision log in %s cannot be written: %v", s.DataDir, innermost(err))
	}
	return log, policy.NewRecords(log, policy.RecordOptions{
		Allows: s.Allows, Labels: map[string]string{"app": "dynconfig", "version": version()},
	}), nil
}
