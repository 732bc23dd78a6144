package core

// interests is the index from what may change to who wants to know. What it costs to find those whom a change concerns
// grows with them, not with all.
type interests struct {
	exact map[string]watcherSet          // by key
	below map[string]watcherSet          // by namespace, RootName for all
	inner map[string]map[string]struct{} // by namespace: the names right inside it that are watched, or have such below
}

type watcherSet map[*Watcher]struct{}

func newInterests() *interests {
	return &interests{exact: map[string]watcherSet{}, below: map[string]watcherSet{}, inner: map[string]map[string]struct{}{}}
}

func (in *interests) sets(p Pattern) (map[string]watcherSet, string) {
	if p.Below != "" {
		return in.below, p.Below
	}
	return in.exact, p.Exact
}

func (in *interests) add(w *Watcher, p Pattern) {
	sets, name := in.sets(p)
	if sets[name] == nil {
		sets[name] = watcherSet{}
	}
	sets[name][w] = struct{}{}
	for name != RootName {
		outer := around(name)
		if _, linked := in.inner[outer][name]; linked {
			return
		}
		if in.inner[outer] == nil {
			in.inner[outer] = map[string]struct{}{}
		}
		in.inner[outer][name] = struct{}{}
		name = outer
	}
}

func (in *interests) remove(w *Watcher, p Pattern) {
	sets, name := in.sets(p)
	delete(sets[name], w)
	if len(sets[name]) == 0 {
		delete(sets, name)
	}
	for name != RootName && len(in.exact[name]) == 0 && len(in.below[name]) == 0 && len(in.inner[name]) == 0 {
		outer := around(name)
		delete(in.inner[outer], name)
		if len(in.inner[outer]) == 0 {
			delete(in.inner, outer)
		}
		name = outer
	}
}

// around is the namespace right around a name.
func around(name string) string {
	for i := len(name) - 1; i > 0; i-- {
		if separator(name[i]) {
			return name[:i]
		}
	}
	return RootName
}

// changed calls yield with those who follow a key.
func (in *interests) changed(key string, yield func(watcherSet)) {
	if in == nil {
		return
	}
	yield(in.exact[key])
	in.outside(key, yield)
}

// ruled calls yield with those who follow keys of a namespace.
func (in *interests) ruled(namespace string, yield func(watcherSet)) {
	if in == nil {
		return
	}
	if namespace != RootName {
		in.outside(namespace, yield)
	}
	yield(in.below[namespace])
	in.inside(namespace, yield)
}

// outside yields those who follow all of a namespace around name.
func (in *interests) outside(name string, yield func(watcherSet)) {
	yield(in.below[RootName])
	for i := 1; i < len(name); i++ {
		if separator(name[i]) {
			yield(in.below[name[:i]])
		}
	}
}

// inside yields those who follow something inside a namespace.
func (in *interests) inside(namespace string, yield func(watcherSet)) {
	for name := range in.inner[namespace] {
		yield(in.exact[name])
		yield(in.below[name])
		in.inside(name, yield)
	}
}
