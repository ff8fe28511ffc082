package member

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/impl/gateway/internal/admit"
	"github.com/fountainai/fountain/impl/gateway/internal/services"
	"github.com/fountainai/fountain/impl/gateway/internal/upstream"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/egress"
)

// Options configure a Registry.
type Options struct {
	Family     []*contract.Contract
	Own        string // the word of the gateway's own contract
	Upstreams  *upstream.Set
	Watcher    *services.Watcher
	Admission  *admit.Station
	Egress     *egress.Policy // allowed targets of members
	Client     *http.Client   // calls services of the family; the host is a service's word
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Registry has the routes of the family and of the members. It implements httpserver.Routes, and is safe for concurrent use.
type Registry struct {
	Options
	live    atomic.Pointer[state]
	refused *prometheus.GaugeVec

	mu      sync.Mutex
	sources map[string]map[string]*Definition // definitions of each source, by the member's name
	faults  map[string]error                  // why a member's last definition was refused, by name
	stands  map[string]services.Standing      // which definition is in force and which was refused, by name
}

// state is a snapshot of the routes and members. It is immutable.
type state struct {
	table   *contract.Table
	members map[string]*Member // by name
}

// New returns a Registry without members.
func New(o Options) (*Registry, error) {
	table, err := contract.NewTable(o.Family...)
	if err != nil {
		return nil, fmt.Errorf("join the contracts: %w", err)
	}
	r := &Registry{Options: o, sources: map[string]map[string]*Definition{}, faults: map[string]error{}, stands: map[string]services.Standing{}}
	r.live.Store(&state{table: table, members: map[string]*Member{}})
	r.Admission.Keep(r.words(nil))
	r.refused = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "fountain_gateway_member_refused", Help: "1 while the last contract of a member is not in force because it can't be taken.",
	}, []string{"member"})
	o.Registerer.MustRegister(r.refused, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "fountain_gateway_members", Help: "Services of others that the gateway guards.",
	}, func() float64 { return float64(len(r.live.Load().members)) }))
	return r, nil
}

// Match implements httpserver.Routes.
func (r *Registry) Match(method, escapedPath string, m *contract.Match) error {
	return r.live.Load().table.Match(method, escapedPath, m)
}

// Allow implements httpserver.Routes.
func (r *Registry) Allow(escapedPath string) (string, error) {
	return r.live.Load().table.Allow(escapedPath)
}

// Member returns the member with a name, or nil.
func (r *Registry) Member(name string) *Member { return r.live.Load().members[name] }

// Active reports whether a member may answer with media types that browsers execute.
func (r *Registry) Active(name string) bool {
	m := r.Member(name)
	return m != nil && m.ActiveContent
}

// Text returns a member's document as the gateway serves it; nil when there is no such member.
func (r *Registry) Text(name string) []byte {
	if m := r.Member(name); m != nil {
		return m.text
	}
	return nil
}

// Members returns all members, by name.
func (r *Registry) Members() []*Member {
	members := r.live.Load().members
	out := make([]*Member, 0, len(members))
	for _, name := range slices.Sorted(maps.Keys(members)) {
		out = append(out, members[name])
	}
	return out
}

// Replace replaces the members of a source. If a definition is refused, the member of that name stays as it is; the error names each refused one with the
// reason. A name that another source already uses is refused. Requests see the whole change at once.
func (r *Registry) Replace(source string, definitions []Definition) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	said := map[string]*Definition{}
	faults := map[string]error{}
	for i := range definitions {
		d := &definitions[i]
		if other := r.otherSource(source, d.Name); other != "" {
			faults[d.Name] = fmt.Errorf("%s %w", other, errNameTaken)
			continue
		}
		said[d.Name] = d
	}
	gone := r.sources[source]
	r.sources[source] = said
	next := maps.Clone(r.live.Load().members)
	for name := range gone {
		if said[name] == nil {
			delete(next, name)
		}
	}
	for name, d := range said {
		if err := r.take(next, d); err != nil {
			faults[name] = err
		}
	}
	err := r.put(next)
	r.recordStatuses(gone, definitions, faults)
	r.tell(gone, said, faults)
	for name, fault := range faults {
		err = errors.Join(err, fmt.Errorf("member %s: %w", name, fault))
	}
	return err
}

// errNameTaken says that another source already has a member of this name.
var errNameTaken = errors.New("already declares a member of this name")

// recordStatuses records which definitions of a source are now in force.
func (r *Registry) recordStatuses(gone map[string]*Definition, definitions []Definition, faults map[string]error) {
	for name := range gone {
		if r.otherSource("", name) == "" {
			delete(r.stands, name)
		}
	}
	for _, d := range definitions {
		standing := r.stands[d.Name]
		switch fault := faults[d.Name]; {
		case fault == nil:
			standing = services.Standing{Revision: d.Revision}
		case errors.Is(fault, errNameTaken): // the other source's definition is in force
			continue
		case errors.Is(fault, errUpstreams):
			standing.Refused, standing.Cause = d.Revision, "upstreams"
		default:
			standing.Refused, standing.Cause = d.Revision, "contract"
		}
		r.stands[d.Name] = standing
	}
}

// Standing implements services.Members: it returns which definition of a member is in force, and which one was refused.
func (r *Registry) Standing(name string) services.Standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stands[name]
}

// Unserved implements services.Members.
func (r *Registry) Unserved() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	served := r.live.Load().members
	var names []string
	for name, s := range r.stands {
		if s.Cause != "" && served[name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Kept returns the last definition of a member from a source that can't read it now; the zero value when there is none.
func (r *Registry) Kept(source, name string) Definition {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := r.sources[source][name]; d != nil {
		return *d
	}
	return Definition{}
}

func (r *Registry) otherSource(source, name string) string {
	for other, said := range r.sources {
		if other != source && said[name] != nil {
			return other
		}
	}
	return ""
}

// take adds a definition to next. On an error next is unchanged.
func (r *Registry) take(next map[string]*Member, d *Definition) error {
	before := next[d.Name]
	switch {
	case d.Disabled:
		delete(next, d.Name)
		return nil
	case before != nil && before.equal(d):
		return nil
	}
	made, err := r.build(*d, before)
	if err != nil {
		return err
	}
	if before != nil && before.Contract != made.Contract && !d.Compared {
		if err := mayFollow(before, made); err != nil {
			return err
		}
	}
	next[d.Name] = made
	return nil
}

// put makes next the members. It first adds targets and watchers, then switches the routes, and then removes what is no longer used.
func (r *Registry) put(next map[string]*Member) error {
	before := r.live.Load()
	contracts := slices.Clone(r.Family)
	for _, name := range slices.Sorted(maps.Keys(next)) {
		contracts = append(contracts, next[name].Contract)
	}
	table, err := contract.NewTable(contracts...)
	if err != nil {
		return fmt.Errorf("join the contracts: %w", err)
	}
	for name, m := range next {
		if m != before.members[name] {
			r.Upstreams.Put(name, m.targets, r.Egress.DialContext)
			r.Watcher.Watch(m.Contract, services.Connecting)
		}
	}
	r.Admission.Keep(r.words(next))
	r.live.Store(&state{table, next})
	for name := range before.members {
		if next[name] == nil {
			r.Watcher.Leave(name)
			r.Upstreams.Remove(name)
		}
	}
	return nil
}

// words returns the words of all services behind the gateway.
func (r *Registry) words(members map[string]*Member) []string {
	words := slices.Collect(maps.Keys(members))
	for _, c := range r.Family {
		if c.Word != r.Own {
			words = append(words, c.Word)
		}
	}
	return words
}

// tell logs changes and updates the metric. Each fault is logged when it begins or changes, not repeatedly.
func (r *Registry) tell(gone, said map[string]*Definition, faults map[string]error) {
	for name := range gone {
		if said[name] == nil {
			r.Log.Info("member is retired", "member", name)
			r.settle(name)
		}
	}
	for name, d := range said {
		if faults[name] != nil {
			continue
		}
		if old := gone[name]; old == nil || !old.equal(d) || r.faults[name] != nil {
			r.Log.Info("member is guarded", "member", name, "targets", len(d.Upstreams), "disabled", d.Disabled)
		}
		r.settle(name)
	}
	for name, fault := range faults {
		if known := r.faults[name]; known == nil || known.Error() != fault.Error() {
			r.Log.Error("member's contract is refused; the one in force stays", "member", name, "error", fault)
		}
		r.faults[name] = fault
		r.refused.WithLabelValues(name).Set(1)
	}
}

func (r *Registry) settle(name string) {
	delete(r.faults, name)
	r.refused.DeleteLabelValues(name)
}
