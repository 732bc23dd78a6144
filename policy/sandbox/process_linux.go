package sandbox

import (
	"os"
	"strconv"
	"syscall"
	"time"
)

// executable is this very program, also after its file was replaced by a newer one.
func executable() (string, error) {
	const self = "/proc/self/exe"
	if _, err := os.Stat(self); err != nil {
		return os.Executable()
	}
	return self, nil
}

// niceness has everything else go first.
const niceness = 10

// limitProcess has the kernel refuse what goes beyond, and take this process before others where all of them together do.
// Where it does not take a limit, the others remain.
func limitProcess(j job) {
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
	threads, _ := os.ReadDir("/proc/self/task") // each has its own, which those that it starts inherit
	for _, thread := range threads {
		if id, err := strconv.Atoi(thread.Name()); err == nil {
			_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, niceness)
		}
	}
	seconds := uint64((j.Time + grace + time.Second) / time.Second)
	for _, l := range []struct {
		what int
		most uint64
	}{
		{syscall.RLIMIT_DATA, uint64(2 * j.Memory)}, // what is mapped, of which Go uses a part
		{syscall.RLIMIT_CPU, processors * seconds},
		{syscall.RLIMIT_FSIZE, 0}, // no file is written,
		{syscall.RLIMIT_CORE, 0},
	} {
		_ = syscall.Setrlimit(l.what, &syscall.Rlimit{Cur: l.most, Max: l.most})
	}
}
