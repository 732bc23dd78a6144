package core

import "testing"

func TestWhatWasReadOfTheRingStays(t *testing.T) {
	var r ring
	push := func(rev Revision) { r.push(&published{revision: rev, bytes: ringBytes / 3}) }
	for rev := Revision(1); rev <= 3; rev++ {
		push(rev)
	}
	read, ok := r.after(0, 2)
	for rev := Revision(4); rev <= 8; rev++ {
		push(rev) // in the place of those that were read
	}
	if !ok || len(read) != 2 || read[0] == nil || read[0].revision != 1 || read[1] == nil || read[1].revision != 2 {
		t.Errorf("read %v, %v, want revisions 1 and 2", read, ok)
	}
	if _, ok := r.after(3, 1); ok {
		t.Error("the ring reaches back to what it let go")
	}
	if next, ok := r.after(5, 9); !ok || len(next) != 3 || next[0].revision != 6 {
		t.Errorf("after 5 come %v, %v, want 6 to 8", next, ok)
	}
	if none, ok := r.after(8, 9); !ok || len(none) != 0 {
		t.Errorf("after the last come %v, %v", none, ok)
	}
}
