package nats

import (
	"crypto/rand"
	"strings"
)

// layout names the subjects of a deployment: the prefix, the epoch, and what is below. The epoch stands in the subjects
// that the stream takes, so that a node which follows another history than the stream's cannot write to it.
type layout struct{ prefix, epoch string }

// The kinds of message, the third token of a subject.
const (
	kindLog      = "log"      // records, each behind the one that its writer saw last
	kindBarrier  = "barrier"  // nothing: where a reader stands when it is delivered; only the last one stays
	kindSnapshot = "snapshot" // where a snapshot is
	kindPart     = "part"     // of a blob, whose name is the fourth token
)

func newEpoch() string { return strings.ToLower(rand.Text()[:16]) }

func (l layout) all() string             { return l.prefix + "." + l.epoch + ".>" }
func (l layout) of(kind string) string   { return l.prefix + "." + l.epoch + "." + kind }
func (l layout) part(blob string) string { return l.of(kindPart) + "." + blob }

// layoutOf reads the layout from the subjects of a stream.
func layoutOf(prefix string, subjects []string) (layout, bool) {
	if len(subjects) != 1 {
		return layout{}, false
	}
	rest, ours := strings.CutPrefix(subjects[0], prefix+".")
	epoch, whole := strings.CutSuffix(rest, ".>")
	return layout{prefix, epoch}, ours && whole && len(epoch) >= 8 && !strings.ContainsAny(epoch, ".*>")
}

// kindOf tells the kind of a message by its subject, the blob if it is a part, and whether it is of this very epoch.
func (l layout) kindOf(subject string) (kind, blob string, own bool) {
	tokens := strings.SplitN(subject, ".", 4)
	if len(tokens) < 3 {
		return "", "", false
	}
	if len(tokens) == 4 {
		blob = tokens[3]
	}
	return tokens[2], blob, tokens[1] == l.epoch
}
