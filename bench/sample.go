package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// sample is what one side of a row took.
type sample struct {
	took []time.Duration
	over time.Duration // the time of load that they were taken in; 0: a rate says nothing
}

func (s *sample) add(o sample) {
	s.took = append(s.took, o.took...)
	s.over += o.over
}

// at returns a quantile.
func (s sample) at(q float64) time.Duration {
	if len(s.took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s.took))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func (s sample) rate() float64 {
	if s.over == 0 {
		return 0
	}
	return float64(len(s.took)) / s.over.Seconds()
}

// cells are p50, p99 and rate as the table shows them.
func (s sample) cells() [3]string {
	c := [3]string{short(s.at(0.50)), short(s.at(0.99)), ""}
	if s.over > 0 {
		c[2] = fmt.Sprintf("%.0f/s", s.rate())
	}
	return c
}

// short writes a duration with three digits.
func short(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d < time.Microsecond:
		return fmt.Sprintf("%d ns", d)
	case d < time.Millisecond:
		return fmt.Sprintf("%.3g µs", float64(d)/float64(time.Microsecond))
	case d >= time.Second:
		return fmt.Sprintf("%.3g s", d.Seconds())
	}
	return fmt.Sprintf("%.3g ms", float64(d)/float64(time.Millisecond))
}

// row is a line of the table.
type row struct {
	name        string
	ours, other [3]string // p50, p99, rate
	than        string    // the counterpart
	ratio       string
	aim         string
}

func printTable(w io.Writer, rows []row) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "what\tp50\tp99\trate\tbeside\tp50\tp99\trate\tratio\taim")
	for _, r := range rows {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			r.name, r.ours[0], r.ours[1], r.ours[2], r.than, r.other[0], r.other[1], r.other[2], r.ratio, r.aim)
	}
	return t.Flush()
}
