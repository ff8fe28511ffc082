package admission

import (
	"container/heap"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// plant models what does the work: it tells how fast each of n running requests proceeds.
type plant interface {
	// speed is the share of its full speed at which each of n gets on.
	speed(n int) float64
}

// processors are divided among the running requests.
type processors int

func (p processors) speed(n int) float64 { return min(1, float64(p)/float64(n)) }

// flushes are shared by all running requests: none takes longer because of others.
type flushes struct{}

func (flushes) speed(n int) float64 { return 1 / (1 + min(float64(n-1), 10)/20) }

// simulation has an open stream of clients in front of a plant, with an Adaptive limit or without one, in simulated time. A client waits for patience
// and counts as answered when it was served within that time; the plant also works on for clients that have left.
type simulation struct {
	plant    plant
	rate     float64 // arrivals a second
	work     func(*rand.Rand) float64
	class    func(*rand.Rand) string // nil: all are of one
	limited  bool
	patience time.Duration
	warm     time.Duration // is not counted
	length   time.Duration

	rng     *rand.Rand
	clock   time.Duration
	limiter *Adaptive
	running []*job
	queued  []*job
	took    []float64
	arrived map[string]int
	refused map[string]int
	most    int
}

type job struct {
	class         string
	arrived, left float64 // seconds; work that is left
	began         time.Time
	turn          chan struct{}
}

type arrivals []float64

func (a arrivals) Len() int           { return len(a) }
func (a arrivals) Less(i, j int) bool { return a[i] < a[j] }
func (a arrivals) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *arrivals) Push(x any)        { *a = append(*a, x.(float64)) }
func (a *arrivals) Pop() any          { last := (*a)[len(*a)-1]; *a = (*a)[:len(*a)-1]; return last }

func (s *simulation) run() {
	s.rng = rand.New(rand.NewPCG(1, 2))
	s.limiter, s.arrived, s.refused = NewAdaptive(), map[string]int{}, map[string]int{}
	epoch := time.Unix(0, 0)
	s.limiter.now = func() time.Time { return epoch.Add(s.clock) }
	next := &arrivals{}
	heap.Push(next, s.rng.ExpFloat64()/s.rate)
	for s.clock < s.length {
		speed := 0.0
		if len(s.running) > 0 {
			speed = s.plant.speed(len(s.running))
		}
		until := (*next)[0] - s.clock.Seconds()
		first := -1
		for i, j := range s.running {
			if need := j.left / speed; need < until {
				until, first = need, i
			}
		}
		until = max(until, 0)
		for _, j := range s.running {
			j.left -= until * speed
		}
		s.clock += time.Duration(math.Ceil(until*1e9)) + 1
		if first >= 0 {
			s.finish(first)
		} else {
			at := heap.Pop(next).(float64)
			heap.Push(next, at+s.rng.ExpFloat64()/s.rate)
			class := "a"
			if s.class != nil {
				class = s.class(s.rng)
			}
			s.arrived[class]++
			s.arrive(&job{class: class, arrived: s.clock.Seconds(), left: s.work(s.rng)})
		}
		s.most = max(s.most, len(s.running))
	}
}

func (s *simulation) arrive(j *job) {
	if !s.limited {
		s.begin(j)
		return
	}
	turn, err := s.limiter.arrive(j.class)
	switch {
	case err != nil:
		s.refused[j.class]++
	case turn == nil:
		s.begin(j)
	default:
		j.turn = turn
		s.queued = append(s.queued, j)
	}
}

func (s *simulation) begin(j *job) {
	j.began = s.limiter.now()
	s.running = append(s.running, j)
}

func (s *simulation) finish(i int) {
	j := s.running[i]
	s.running = append(s.running[:i], s.running[i+1:]...)
	if took := s.clock.Seconds() - j.arrived; took <= s.patience.Seconds() && s.clock > s.warm {
		s.took = append(s.took, took)
	}
	if !s.limited {
		return
	}
	s.limiter.leave(j.class, j.began, Done)
	s.queued = slices.DeleteFunc(s.queued, func(q *job) bool {
		select {
		case <-q.turn:
			s.begin(q)
			return true
		default:
			return false
		}
	})
}

func (s *simulation) goodput() float64 { return float64(len(s.took)) / (s.length - s.warm).Seconds() }

func (s *simulation) quantile(q float64) float64 {
	slices.Sort(s.took)
	return s.took[int(q*float64(len(s.took)-1))]
}

// The work of a service becomes forty times heavier, and light again. The limit adapts to both and does not stay low.
func TestAdaptive_learnsAnewWhenTheWorkChanges(t *testing.T) {
	var s simulation
	phase := func() time.Duration { return s.clock / (40 * time.Second) }
	var answered [3]int
	s = simulation{
		plant: processors(8), patience: 5 * time.Second, length: 120 * time.Second, limited: true, rate: 400,
		work: func(r *rand.Rand) float64 {
			answered[phase()] = len(s.took)
			return around([]float64{0.005, 0.2, 0.005}[phase()])(r)
		},
	}
	s.run()
	light, heavy, lightAgain := answered[0], answered[1]-answered[0], answered[2]-answered[1]
	t.Logf("%d, %d, %d", light, heavy, lightAgain)
	require.Greater(t, light, 15_000, "of 16,000")
	require.Greater(t, heavy, 1_100, "of the 1,600 that 8 processors can do; some go by until it is known")
	require.Greater(t, lightAgain, 15_000, "of 16,000")
}

// A class with few requests is not refused because another class has too many.
func TestAdaptive_keepsClassesApart(t *testing.T) {
	s := simulation{
		plant: processors(4), patience: time.Second, length: 60 * time.Second, limited: true, rate: 4_000, work: around(0.01),
		class: func(r *rand.Rand) string {
			if r.IntN(400) == 0 {
				return "rare"
			}
			return "flood"
		},
	}
	s.run()
	t.Logf("refused %d of the flood and %d of the rare, of %d", s.refused["flood"], s.refused["rare"], s.arrived["rare"])
	require.Less(t, s.refused["rare"], s.arrived["rare"]/20)
	require.Greater(t, s.refused["flood"], s.arrived["flood"]/2)
}

// Work that is given up after a long time closes the gate almost completely. It opens again when work gets done.
func TestAdaptive_opensAgainAfterAnOutage(t *testing.T) {
	a := NewAdaptive()
	now := time.Unix(0, 0)
	a.now = func() time.Time { return now }
	one := func(took time.Duration, o Outcome, most int) {
		var turns []time.Time
		for range most {
			turn, err := a.arrive("x")
			switch {
			case err != nil:
			case turn == nil:
				turns = append(turns, now)
			default:
				a.abandon("x", turn)
			}
		}
		now = now.Add(took)
		for _, began := range turns {
			a.leave("x", began, o)
		}
	}
	for range 50 {
		one(5*time.Millisecond, Done, 1)
	}
	require.Equal(t, firstLimit, a.Limits()["x"])
	for range 60 {
		one(30*time.Second, TooLate, 100)
	}
	require.Equal(t, quiet, a.Limits()["x"])
	for range 200 {
		one(5*time.Millisecond, Done, 100)
	}
	require.Greater(t, a.Limits()["x"], firstLimit)
}

// A class whose work is never done does not hold back the others every second.
func TestAdaptive_probesNoMoreThanNeededForWorkThatNeverGetsDone(t *testing.T) {
	a := NewAdaptive()
	now := time.Unix(0, 0)
	a.now = func() time.Time { return now }
	probes := 0
	for range 120 { // seconds
		for range firstLimit + 1 {
			if turn, err := a.arrive("hangs"); err == nil && turn != nil {
				a.abandon("hangs", turn)
			}
		}
		before := a.probing
		now = now.Add(time.Second)
		if before {
			probes++
			a.endProbe()
		}
	}
	require.LessOrEqual(t, probes, firstProbes+120/10+1)
	require.Positive(t, probes)
}

// A request that fails at once, such as one with a refused connection, says nothing about the capacity.
func TestAdaptive_learnsNothingFromFailures(t *testing.T) {
	a := NewAdaptive()
	for range 100 {
		place, err := a.Enter(t.Context(), "x")
		require.NoError(t, err)
		place.Leave(Failed)
	}
	require.Zero(t, a.classes["x"].quiet)
	require.Zero(t, a.running)
}

// When the service itself refuses some requests, the limit becomes the number of the others that run, and a crowd does not wait as if it were a
// burst.
func TestAdaptive_takesARefusalOfWhatDoesTheWorkAtItsWord(t *testing.T) {
	a := NewAdaptive()
	now := time.Unix(0, 0)
	a.now = func() time.Time { return now }
	for range 20 {
		place, err := a.Enter(t.Context(), "x")
		require.NoError(t, err)
		now = now.Add(40 * time.Millisecond)
		place.Leave(Done)
	}
	var inside []Place
	for range 20 {
		place, err := a.Enter(t.Context(), "x")
		require.NoError(t, err)
		inside = append(inside, place)
	}
	for _, place := range inside[5:] {
		place.Leave(Refused)
	}
	require.Equal(t, 5, a.Limits()["x"])
	waiting := 0
	for range 20 {
		if turn, err := a.arrive("x"); err == nil {
			require.NotNil(t, turn, "there is no place")
			waiting++
		}
	}
	require.Equal(t, 2, waiting, "half of the 40 ms that the work takes in quiet")
	for _, place := range inside[:5] {
		place.Leave(Done)
	}
	for range 200 {
		now = now.Add(windowLeast)
		for range 3 {
			if turn, err := a.arrive("x"); err == nil && turn == nil {
				a.leave("x", now.Add(-40*time.Millisecond), Done)
			}
		}
	}
	require.Greater(t, a.Limits()["x"], 5, "it rises again when it can")
}

// A probe makes the queue long. All but a few requests are held back until it is over.
func TestAdaptive_letsNoCrowdWaitForTheEndOfAProbe(t *testing.T) {
	a := NewAdaptive()
	now := time.Unix(0, 0)
	a.now = func() time.Time { return now }
	for range 20 {
		place, err := a.Enter(t.Context(), "x")
		require.NoError(t, err)
		now = now.Add(40 * time.Millisecond)
		place.Leave(Done)
	}
	a.probing, a.probe, a.learning = true, now, 0
	turns, refused := 0, 0
	for range 100 {
		turn, err := a.arrive("x")
		switch {
		case err != nil:
			refused++
		case turn == nil:
			turns++
		}
	}
	require.Equal(t, quiet, turns)
	require.Equal(t, 100-quiet-25, refused, "two at a time of 40 ms, for at most the half second of a burst")
}

func TestAdaptive_neverLetsMoreInAndForgetsWhoHasLeft(t *testing.T) {
	a := NewAdaptive()
	var running, most atomic.Int64
	var all sync.WaitGroup
	for i := range 400 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%20)*time.Millisecond)
			defer cancel()
			place, err := a.Enter(ctx, "x")
			if err != nil {
				return
			}
			now := running.Add(1)
			for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
			}
			<-ctx.Done()
			running.Add(-1)
			place.Leave(Done)
		})
	}
	all.Wait()
	require.LessOrEqual(t, most.Load(), int64(firstLimit))
	require.Zero(t, a.running)
	require.Zero(t, a.classes["x"].running)
	require.Empty(t, a.classes["x"].waiting)
}

func BenchmarkAdaptive(b *testing.B) {
	a := NewAdaptive()
	b.ReportAllocs()
	for b.Loop() {
		place, err := a.Enter(b.Context(), "x")
		if err != nil {
			b.Fatal(err)
		}
		place.Leave(Done)
	}
}

// A refusal takes only a few comparisons, so that a flood is cheap.
func BenchmarkAdaptive_refuses(b *testing.B) {
	a := NewAdaptive()
	for range 9 * firstLimit { // as many as run and as wait before anything is known
		_, err := a.arrive("get")
		require.NoError(b, err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Enter(context.Background(), "get"); !errors.Is(err, ErrBusy) {
			b.Fatal(err)
		}
	}
}

func around(mean float64) func(*rand.Rand) float64 {
	return func(r *rand.Rand) float64 { return mean * (0.5 + r.Float64()) }
}

// At ten times the capacity, the admitted requests are served in time, at nearly the full rate. Without a limit none is.
func TestAdaptive_keepsItsGoodputUnderTenfoldLoad(t *testing.T) {
	for name, c := range map[string]struct {
		plant  plant
		mean   float64
		most   float64 // answers a second
		length time.Duration
	}{
		"2 processors, 5 ms":   {processors(2), 0.005, 400, 30 * time.Second},
		"2 processors, 100 ms": {processors(2), 0.1, 20, 120 * time.Second},
		"8 processors, 5 ms":   {processors(8), 0.005, 1600, 6 * time.Second},
		"1 processor, 1 ms":    {processors(1), 0.001, 1000, 8 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			base := simulation{plant: c.plant, work: around(c.mean), patience: 2 * time.Second, length: c.length, warm: c.length / 3, limited: true}
			calm, over, without := base, base, base
			calm.rate, over.rate, without.rate, without.limited = c.most/4, c.most*10, c.most*10, false
			without.length, without.warm = 1500*time.Millisecond, 500*time.Millisecond
			calm.run()
			over.run()
			without.run()
			t.Logf("calm %.0f/s p99 %.4f s, refused %d; over %.0f/s p99 %.4f s, refused %d, most %d; without %.0f/s", calm.goodput(), calm.quantile(0.99), calm.refused["a"],
				over.goodput(), over.quantile(0.99), over.refused["a"], over.most, without.goodput())
			require.Empty(t, calm.refused)
			require.Greater(t, over.goodput(), 0.8*c.most)
			require.Less(t, over.quantile(0.99), 3*calm.quantile(0.99)+2*shortWait.Seconds())
		})
	}
}

// Work that gets cheaper when it is shared is admitted: a limit by duration alone would slow it down.
func TestAdaptive_doesNotHoldSharedFlushesBack(t *testing.T) {
	s := simulation{plant: flushes{}, work: around(0.005), patience: time.Second, length: 20 * time.Second, limited: true, rate: 20_000}
	s.run()
	t.Logf("%.0f/s p99 %.4f s refused %d most %d", s.goodput(), s.quantile(0.99), s.refused["a"], s.most)
	require.Greater(t, s.goodput(), 0.95*s.rate)
}
