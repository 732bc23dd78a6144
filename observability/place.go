package observability

import (
	"encoding/base64"
	"encoding/binary"

	"github.com/dynconfig/dynconfig/core"
)

// place is the end of a line.
type place struct {
	file uint64
	end  int64
}

var errPlace = core.Errorf(core.ErrMalformed, "cursor is not one that this server gave out")

func (p place) String() string {
	return base64.RawURLEncoding.EncodeToString(binary.AppendUvarint(binary.BigEndian.AppendUint64(nil, p.file), uint64(p.end)))
}

func parsePlace(s string) (place, error) {
	if s == "" {
		return place{}, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) < 9 {
		return place{}, errPlace
	}
	end, n := binary.Uvarint(b[8:])
	p := place{binary.BigEndian.Uint64(b), int64(end)}
	if n != len(b)-8 || p.end < 0 || p.String() != s {
		return place{}, errPlace
	}
	return p, nil
}
