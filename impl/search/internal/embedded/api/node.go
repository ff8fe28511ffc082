package api

import (
	"bufio"
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// statsWindow is the period over which stats.json averages requests, as documented.
const statsWindow = 10 * time.Second

// stats counts requests by kind, in a ring of seconds.
type stats struct {
	mu   sync.Mutex
	ring [10]map[string]sum
	at   int64 // the latest second in the ring
}

type sum struct {
	n    int
	took time.Duration
}

// kind returns the group of stats.json to which a route belongs.
func (r *route) kind() string {
	switch {
	case r.action == search:
		return "search"
	case r.action == importAction:
		return "import"
	case strings.HasPrefix(r.action, "documents:") && r.method == "DELETE":
		return "delete"
	case strings.HasPrefix(r.action, "documents:") && r.method != "GET":
		return "write"
	}
	return "other"
}

// begin starts the measurement of a request. The returned function ends it.
func (s *stats) begin(kind string) func() {
	began := time.Now()
	return func() {
		now := time.Now()
		s.mu.Lock()
		defer s.mu.Unlock()
		slot := s.turn(now.Unix())
		a := slot[kind]
		a.n, a.took = a.n+1, a.took+now.Sub(began)
		slot[kind] = a
	}
}

// turn clears the seconds that have passed since the last call and returns the map of the current one.
func (s *stats) turn(second int64) map[string]sum {
	n := int64(len(s.ring))
	for s.at = max(s.at, second-n); s.at < second; {
		s.at++
		s.ring[s.at%n] = map[string]sum{}
	}
	return s.ring[s.at%n]
}

func (h *Handler) showStats(w http.ResponseWriter, _ *request) {
	s := &h.stats
	s.mu.Lock()
	s.turn(time.Now().Unix())
	total := map[string]sum{}
	all := sum{}
	for _, second := range s.ring {
		for kind, a := range second {
			t := total[kind]
			total[kind] = sum{t.n + a.n, t.took + a.took}
			all.n += a.n
		}
	}
	s.mu.Unlock()
	out := map[string]any{
		"latency_ms": map[string]float64{}, "requests_per_second": map[string]float64{}, "overloaded_requests_per_second": 0,
		"pending_write_batches": 0, "total_requests_per_second": rate(all),
	}
	for _, kind := range []string{"search", "import", "write", "delete"} {
		a := total[kind]
		out[kind+"_requests_per_second"], out[kind+"_latency_ms"] = rate(a), latency(a)
	}
	reply(w, http.StatusOK, out)
}

func rate(a sum) float64 { return float64(a.n) / statsWindow.Seconds() }

func latency(a sum) float64 {
	if a.n == 0 {
		return 0
	}
	return float64(a.took.Microseconds()) / 1000 / float64(a.n)
}

// metrics returns the documented metrics. Values are strings, as in Typesense.
func (h *Handler) metrics(w http.ResponseWriter, _ *request) {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"}, {Name: "/memory/classes/metadata/other:bytes"},
	}
	metrics.Read(samples)
	value := func(i int) uint64 { return samples[i].Value.Uint64() }
	total, free := disk(h.engine.Dir())
	memory := meminfo()
	out := map[string]string{
		"system_cpu_active_percentage": "0.00", // of all processors; not measured
		"system_disk_total_bytes":      number(total), "system_disk_used_bytes": number(total - free),
		"system_memory_total_bytes": number(memory["MemTotal"]), "system_memory_used_bytes": number(memory["MemTotal"] - memory["MemAvailable"]),
		"system_memory_total_swap_bytes": number(memory["SwapTotal"]), "system_memory_used_swap_bytes": number(memory["SwapTotal"] - memory["SwapFree"]),
		"system_network_received_bytes": "0", "system_network_sent_bytes": "0",
		"typesense_memory_active_bytes": number(value(1) - value(2)), "typesense_memory_allocated_bytes": number(value(0)),
		"typesense_memory_fragmentation_ratio": "0.00", "typesense_memory_mapped_bytes": number(value(1)), "typesense_memory_metadata_bytes": number(value(3)),
		"typesense_memory_resident_bytes": number(value(1) - value(2)), "typesense_memory_retained_bytes": number(value(2)),
	}
	reply(w, http.StatusOK, out)
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

// meminfo reads the kernel's memory statistics, in bytes. It returns an empty map if there are none.
func meminfo() map[string]uint64 {
	out := map[string]uint64{}
	body, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return out
	}
	for lines := bufio.NewScanner(bytes.NewReader(body)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		if n, err := strconv.ParseUint(fields[1], 10, 64); err == nil {
			out[strings.TrimSuffix(fields[0], ":")] = n << 10
		}
	}
	return out
}

// schemaChanges lists schema changes in progress. A change is complete before it is answered, so that the list is always empty.
func (h *Handler) schemaChanges(w http.ResponseWriter, _ *request) {
	reply(w, http.StatusOK, []string{})
}

// makeSnapshot copies the engine's data to a new directory inside the configured one. The holder of the key must not be able to choose
// where this process writes.
func (h *Handler) makeSnapshot(w http.ResponseWriter, r *request) {
	name := r.param("snapshot_path")
	switch {
	case h.snapshots == "":
		h.fail(w, schema.Unsupported("POST /operations/snapshot"))
		return
	case name == "":
		h.fail(w, &schema.Error{Status: http.StatusBadRequest, Text: "Parameter `snapshot_path` is required."})
		return
	}
	if filepath.IsAbs(name) {
		if in, err := filepath.Rel(h.snapshots, name); err == nil {
			name = in
		}
	}
	if !snapshotName.MatchString(name) {
		h.fail(w, &schema.Error{Status: http.StatusBadRequest, Text: "Parameter `snapshot_path` must be a name of letters, digits, `.`, `_` and `-` inside the directory of the snapshots."})
		return
	}
	if !h.snapshot.TryLock() {
		h.fail(w, &schema.Error{Status: http.StatusConflict, Text: "Another snapshot is being made."})
		return
	}
	defer h.snapshot.Unlock()
	if err := h.engine.Snapshot(r.Context(), filepath.Join(h.snapshots, name)); err != nil {
		h.fail(w, err)
		return
	}
	reply(w, http.StatusCreated, map[string]bool{"success": true})
}

// snapshotName is the pattern for names of snapshots. A leading dot is reserved for a snapshot that is being written.
var snapshotName = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$`)

// vote reports failure, because a single node has no other nodes for an election.
func (h *Handler) vote(w http.ResponseWriter, _ *request) {
	reply(w, http.StatusOK, map[string]bool{"success": false})
}

// done answers operations for which there is nothing to do: there is no response cache, and the store needs no manual compaction.
func (h *Handler) done(w http.ResponseWriter, _ *request) {
	reply(w, http.StatusOK, map[string]bool{"success": true})
}

// configured accepts a change of settings that this engine does not have.
func (h *Handler) configured(w http.ResponseWriter, _ *request) {
	reply(w, http.StatusCreated, map[string]bool{"success": true})
}

func (h *Handler) none(w http.ResponseWriter, _ *request) { reply(w, http.StatusOK, []string{}) }
