package policy

import (
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"

	"github.com/dynconfig/dynconfig/wire"
)

// coverage is how much of some modules ran, in percent of their lines, counted as OPA counts them; lines without a rule or
// an expression do not count.
func coverage(ran *cover.Cover, modules map[string]*ast.Module) (percent float64, files []wire.PolicyCoverage) {
	report := ran.Report(modules)
	files = []wire.PolicyCoverage{}
	covered, all := 0, 0
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		r := report.Files[name]
		covered, all = covered+r.CoveredLines, all+r.CoveredLines+r.NotCoveredLines
		files = append(files, wire.PolicyCoverage{File: name, Coverage: percentOf(r.CoveredLines, r.CoveredLines+r.NotCoveredLines), NotRun: rows(r.NotCovered)})
	}
	return percentOf(covered, all), files
}

// percentOf has two decimals. Nothing of nothing is all of it.
func percentOf(part, whole int) float64 {
	if whole == 0 {
		return 100
	}
	return float64(part*10_000/whole) / 100
}

// rows are the lines of ranges, which are in order, with those that touch made one.
func rows(ranges []cover.Range) [][2]int {
	var lines [][2]int
	for _, r := range ranges {
		if last := len(lines) - 1; last >= 0 && r.Start.Row <= lines[last][1]+1 {
			lines[last][1] = max(lines[last][1], r.End.Row)
			continue
		}
		lines = append(lines, [2]int{r.Start.Row, r.End.Row})
	}
	return lines
}
