package main

import (
	"fmt"
	"io"
	"slices"
)

// sample is what one turn showed. Times are in microseconds; cpu and mallocs are for one request.
type sample struct{ cpu, mallocs, perSecond, p50, p99 float64 }

// column is all turns of one peer with one kind of request.
type column struct {
	fast   []sample
	steady []steadyResult
}

// results keep the rows in the order in which they came.
type results struct {
	names []string
	rows  map[string]map[kind]*column
}

func (r *results) column(name string, k kind) *column {
	if r.rows[name] == nil {
		if r.rows == nil {
			r.rows = map[string]map[kind]*column{}
		}
		r.rows[name] = map[kind]*column{get: {}, post: {}}
		r.names = append(r.names, name)
	}
	return r.rows[name][k]
}

func (r *results) add(name string, k kind, s sample) {
	c := r.column(name, k)
	c.fast = append(c.fast, s)
}

func (r *results) addSteady(name string, k kind, s steadyResult) {
	c := r.column(name, k)
	c.steady = append(c.steady, s)
}

// printThroughput prints medians over the rounds. The ratios are of the CPU time to that of nginx and of Caddy.
func (r *results) printThroughput(to io.Writer) {
	for _, k := range kinds {
		fmt.Fprintf(to, "\n%s, medians of %d rounds of %d s, %d connections\n\n", k, *rounds, *seconds, *sockets)
		fmt.Fprintln(to, "| | CPU us/request | to nginx | to Caddy | allocations | requests/s | p50 us | p99 us |\n|---|---|---|---|---|---|---|---|")
		for _, name := range r.names {
			c := r.column(name, k)
			of := func(field func(sample) float64) float64 { return median(c.fast, field) }
			cpu := of(func(s sample) float64 { return s.cpu })
			fmt.Fprintf(to, "| %s | %s | %s | %s | %s | %.0f | %.0f | %.0f |\n", name, number(cpu, "%.1f"), r.ratio(cpu, "nginx proxy_pass", k), r.ratio(cpu, "Caddy reverse_proxy", k),
				number(of(func(s sample) float64 { return s.mallocs }), "%.0f"), of(func(s sample) float64 { return s.perSecond }),
				of(func(s sample) float64 { return s.p50 }), of(func(s sample) float64 { return s.p99 }))
		}
	}
}

// printSteady prints the latencies at the constant rate.
func (r *results) printSteady(to io.Writer, perSecond int) {
	fmt.Fprintf(to, "\n%d requests a second, latency from when each was due, medians of %d rounds of %d s\n\n", perSecond, *rounds, *seconds)
	fmt.Fprintln(to, "| us | GET p50 | GET p99 | POST p50 | POST p99 |\n|---|---|---|---|---|")
	for _, name := range r.names {
		fmt.Fprintf(to, "| %s |", name)
		for _, k := range kinds {
			c := r.column(name, k)
			fmt.Fprintf(to, " %.0f | %.0f |", median(c.steady, func(s steadyResult) float64 { return float64(s.p50.Microseconds()) }),
				median(c.steady, func(s steadyResult) float64 { return float64(s.p99.Microseconds()) }))
		}
		fmt.Fprintln(to)
	}
}

func (r *results) ratio(cpu float64, name string, k kind) string {
	if r.rows[name] == nil || cpu == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", cpu/median(r.rows[name][k].fast, func(s sample) float64 { return s.cpu }))
}

// number is empty for 0: what was not measured.
func number(v float64, format string) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf(format, v)
}

func median[T any](of []T, field func(T) float64) float64 {
	if len(of) == 0 {
		return 0
	}
	values := make([]float64, len(of))
	for i, one := range of {
		values[i] = field(one)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
