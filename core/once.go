package core

import "sync"

// onceBytes computes bytes once and keeps them.
type onceBytes struct {
	once  sync.Once
	bytes []byte
}

func (o *onceBytes) get(make func() []byte) []byte {
	o.once.Do(func() { o.bytes = make() })
	return o.bytes
}
