package adoption_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/adoption"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/kmstest"
	"github.com/fountainai/fountain/impl/kms/internal/role"
	"github.com/fountainai/fountain/impl/kms/internal/service"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/revocation"
	"github.com/fountainai/fountain/internal/store"
)

// judge is a Judge with the results that the test sets.
type judge struct {
	verdict adoption.Verdict
	during  func()              // called while a document is checked
	against []adoption.Document // the last compared documents: before and after
}

func (j *judge) Judge(before *adoption.Document, d adoption.Document) (adoption.Verdict, error) {
	if j.during != nil {
		j.during()
	}
	v := j.verdict
	if before == nil {
		v.Changes = nil
	} else {
		j.against = []adoption.Document{*before, d}
	}
	return v, nil
}

// room is the domain of adopted services with an administrator and a service "press".
type room struct {
	*kmstest.Parts
	adoptions *adoption.Adoptions
	services  *service.Services
	judge     *judge
	admin     *auth.Principal
	press     service.Service
}

func newRoom(t *testing.T) *room {
	t.Helper()
	p := kmstest.New(t)
	r := &room{Parts: p, judge: &judge{verdict: adoption.Verdict{Version: "1.4.0"}}}
	r.admin, r.press = p.Caller(p.First("ada").ID), p.Service("press")
	r.adoptions = &adoption.Adoptions{
		DB: p.DB, Rows: kmsdb.Contracts{}, Services: kmsdb.Services{}, Standing: p.Standing, Feed: p.Feed, Judge: adoption.NewBench(r.judge), Clock: p.Clock,
	}
	roles := &role.Roles{DB: p.DB, Rows: kmsdb.Roles{}, Users: kmsdb.Users{}, Standing: p.Standing, Catalogue: p.Catalogue, Feed: p.Feed, Clock: p.Clock}
	r.services = service.New(p.DB, kmsdb.Services{}, nil, roles, r.adoptions, p.Standing, p.Feed, p.Catalogue, p.Clock)
	return r
}

// draft returns a valid draft.
func draft(text string) adoption.Draft {
	return adoption.Draft{
		Document:  adoption.Document{Service: "press", File: "api.yaml", Files: []adoption.File{{Name: "api.yaml", Text: text}}},
		Upstreams: []string{"http://127.0.0.1:9000"},
	}
}

func (r *room) put(d adoption.Draft, over adoption.Over) (adoption.Contract, bool, error) {
	return r.adoptions.Put(r.Context(), r.admin, d, over)
}

// must puts a draft successfully.
func (r *room) must(d adoption.Draft) adoption.Contract {
	r.Helper()
	c, _, err := r.put(d, adoption.Over{})
	require.NoError(r, err)
	return c
}

func (r *room) get() adoption.Contract {
	r.Helper()
	c, err := r.adoptions.Get(r.Context(), r.admin, "press")
	require.NoError(r, err)
	return c
}

// declare sets the declared scopes of press.
func (r *room) declare(scopes ...string) {
	r.Helper()
	now, err := r.services.Get(r.Context(), r.press.ID)
	require.NoError(r, err)
	_, err = r.services.Update(r.Context(), r.admin, r.press.ID, etag.Exactly(now.Version), service.Change{Declared: &scopes})
	require.NoError(r, err)
	r.admin.Epoch = r.epoch() // withdrawing scopes ends administrators' tokens; this one is signed in again
}

func (r *room) epoch() int64 {
	owner, _, err := r.Standing.Rows.Owner(r.Context(), r.DB.Read(r.Context()), authority.Ref{Kind: auth.KindUser, ID: r.admin.Subject}, authority.Unlocked)
	require.NoError(r, err)
	return owner.Epoch
}

func (r *room) setStatus(status string) {
	r.Helper()
	now, err := r.services.Get(r.Context(), r.press.ID)
	require.NoError(r, err)
	_, err = r.services.Update(r.Context(), r.admin, r.press.ID, etag.Exactly(now.Version), service.Change{Status: &status})
	require.NoError(r, err)
}

// refused requires that a put is refused with the kind, and returns the refusal.
func (r *room) refused(kind domain.Kind, d adoption.Draft, over adoption.Over) *domain.Refusal {
	r.Helper()
	_, _, err := r.put(d, over)
	require.ErrorIs(r, err, kind)
	var refusal *domain.Refusal
	require.ErrorAs(r, err, &refusal)
	return refusal
}

func TestPut_keepsDocumentAndShadow(t *testing.T) {
	r := newRoom(t)
	d := draft("one")
	d.Files = append(d.Files, adoption.File{Name: "a.yaml", Text: "referenced"})
	d.Public, d.Upstreams = []string{"b", "a", "b"}, []string{"http://b:2", "http://a:1", "http://b:2"}
	r.judge.verdict.Warnings = []adoption.Finding{{At: "api.yaml:1", Message: "wrong", Hint: "right"}}
	c, made, err := r.put(d, adoption.Over{Absent: true})
	require.NoError(t, err)
	require.True(t, made)
	require.Equal(t, c, r.get())
	require.Equal(t, "1.4.0", c.Live.Version)
	require.Equal(t, []string{"a", "b"}, c.Live.Public)
	require.Equal(t, []string{"http://b:2", "http://a:1"}, c.Upstreams)
	require.Equal(t, "a.yaml", c.Live.Files[0].Name, "files are sorted")
	require.Equal(t, r.admin.Subject, c.Live.UpdatedBy)
	require.Equal(t, r.judge.verdict.Warnings, c.Live.Warnings)

	r.Clock.Advance(time.Minute)
	r.judge.verdict.Changes = []adoption.Change{{Name: "GET /x: gone", Message: "it is gone"}}
	shadow := draft("two")
	shadow.Upstreams, shadow.Shadow = nil, true
	with, made, err := r.put(shadow, adoption.Over{})
	require.NoError(t, err)
	require.False(t, made)
	require.Greater(t, with.Version, c.Version)
	require.Equal(t, with, r.get())
	require.Equal(t, c.Live, with.Live, "the live document stays")
	require.Equal(t, c.Upstreams, with.Upstreams)
	require.Equal(t, r.judge.verdict.Changes, with.Shadow.Changes)
	require.Equal(t, "one", r.judge.against[0].Files[1].Text)
	require.Equal(t, "two", r.judge.against[1].Files[0].Text)

	promoted := draft("two")
	promoted.Accept = []string{"GET /x: gone"}
	after := r.must(promoted)
	require.Nil(t, after.Shadow)
	require.Equal(t, after, r.get())
	require.Equal(t, with.Shadow.Digest, after.Live.Digest)
	require.Equal(t, c.CreatedAt, after.CreatedAt)
	require.Empty(t, after.Live.Changes)
}

func TestPut_refusesWhatTheJudgeFinds(t *testing.T) {
	r := newRoom(t)
	r.judge.verdict.Faults = []adoption.Finding{{At: "api.yaml:7", Message: "There are no paths.", Hint: "Write paths:."}, {At: "api.yaml:9", Message: strings.Repeat("é", 300)}}
	refusal := r.refused(domain.InvalidContract, draft("one"), adoption.Over{})
	require.Equal(t, "api.yaml:7: There are no paths. Write paths:.", refusal.Fields[0].Message)
	require.Len(t, []rune(refusal.Fields[1].Message), 240, "what an answer takes")

	r.judge.verdict = adoption.Verdict{Version: "1", Scopes: []string{"press:print", "press:read"}}
	r.declare("press:read")
	refusal = r.refused(domain.InvalidContract, draft("one"), adoption.Over{})
	require.Len(t, refusal.Fields, 1)
	require.Contains(t, refusal.Fields[0].Message, "press:print")
	r.declare("press:read", "press:print")
	live := r.must(draft("one"))

	r.judge.verdict.Changes = []adoption.Change{{Name: "GET /x: gone", Kind: "breaking", Message: "it is gone"}, {Name: "GET /y: looser", Kind: "looser", Message: "it asks for less"}}
	d := draft("two")
	d.Accept = []string{"GET /y: looser", "GET /z: gone"}
	refusal = r.refused(domain.ContractBreaking, d, adoption.Over{})
	require.Equal(t, []domain.Field{{In: "body", Pointer: "/files", Rule: "breaking", Message: "it is gone", Name: "GET /x: gone"}}, refusal.Fields)
	require.Equal(t, live, r.get(), "the live one stays")
	d.Accept = append(d.Accept, "GET /x: gone")
	r.must(d)
}

// Everything may change between the check and the storing; a stored document was checked against the state at its commit.
func TestPut_isRefusedWhenTheWorldChangedMeanwhile(t *testing.T) {
	for name, one := range map[string]struct {
		during func(r *room)
		over   adoption.Over
		kind   domain.Kind
	}{
		"another put":             {func(r *room) { r.must(draft("other")) }, adoption.Over{}, domain.StateConflict},
		"another put, If-Match":   {func(r *room) { r.must(draft("other")) }, adoption.Over{Match: new(etag.Exactly(1))}, domain.PreconditionFailed},
		"retired":                 {func(r *room) { r.retire() }, adoption.Over{}, domain.StateConflict},
		"scope withdrawn":         {func(r *room) { r.declare() }, adoption.Over{}, domain.InvalidContract},
		"service disabled":        {func(r *room) { r.setStatus(service.Disabled) }, adoption.Over{}, domain.StateConflict},
		"service deleted":         {func(r *room) { r.remove() }, adoption.Over{}, domain.NotFound},
		"administrator's session": {func(r *room) { r.endSession() }, adoption.Over{}, domain.Ended},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoom(t)
			r.declare("press:read")
			r.judge.verdict.Scopes = []string{"press:read"}
			r.must(draft("one"))
			r.judge.during = func() {
				r.judge.during = nil
				r.Clock.Advance(time.Minute)
				r.onAnotherBench(func() { one.during(r) })
			}
			r.refused(one.kind, draft("two"), one.over)
		})
	}
}

// onAnotherBench runs f while the bench is busy.
func (r *room) onAnotherBench(f func()) {
	bench := r.adoptions.Judge
	r.adoptions.Judge = adoption.NewBench(r.judge)
	f()
	r.adoptions.Judge = bench
}

func (r *room) retire() {
	r.Helper()
	require.NoError(r, r.adoptions.Retire(r.Context(), r.admin, "press"))
}

func (r *room) remove() {
	r.Helper()
	require.NoError(r, r.services.Delete(r.Context(), r.admin, r.press.ID))
	r.admin.Epoch = r.epoch()
}

func (r *room) endSession() {
	r.Write(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE refresh_families SET revoked_at = 1 WHERE sid = ?", r.admin.SessionID)
		return err
	})
}

func TestPut_needsARegisteredActiveServiceOfOthers(t *testing.T) {
	r := newRoom(t)
	require.NoError(t, r.services.RegisterFamily(t.Context()))
	for _, member := range authority.Family() {
		d := draft("one")
		d.Service = member.Name
		r.refused(domain.Forbidden, d, adoption.Over{})
	}
	d := draft("one")
	d.Service = "nobody"
	r.refused(domain.NotFound, d, adoption.Over{})
	r.setStatus(service.Disabled)
	r.refused(domain.StateConflict, draft("one"), adoption.Over{})
	r.setStatus(service.Active)
	d = draft("one")
	d.Shadow, d.Upstreams = true, nil
	r.refused(domain.StateConflict, d, adoption.Over{})
	require.ErrorIs(t, r.adoptions.Retire(t.Context(), r.admin, "press"), domain.NotFound)
	r.refused(domain.PreconditionFailed, draft("one"), adoption.Over{Match: new(etag.ParseMatch("*"))})
	r.must(draft("one"))
	r.refused(domain.PreconditionFailed, draft("one"), adoption.Over{Absent: true})
}

func TestPut_refusesDraftsThatNoDocumentMakesGood(t *testing.T) {
	r := newRoom(t)
	for name, change := range map[string]func(d *adoption.Draft){
		"two files of a name":   func(d *adoption.Draft) { d.Files = append(d.Files, d.Files[0]) },
		"no such file":          func(d *adoption.Draft) { d.File = "other.yaml" },
		"too much text":         func(d *adoption.Draft) { d.Files[0].Text = strings.Repeat("a", adoption.MaxText+1) },
		"too much as JSON":      func(d *adoption.Draft) { d.Files[0].Text = strings.Repeat("<", 3<<20) },
		"control characters":    func(d *adoption.Draft) { d.Files[0].Text = "a\x00" },
		"no upstream":           func(d *adoption.Draft) { d.Upstreams = nil },
		"upstream with a path":  func(d *adoption.Draft) { d.Upstreams = []string{"http://a:1/x"} },
		"upstream without port": func(d *adoption.Draft) { d.Upstreams = []string{"http://a"} },
		"upstream port 0":       func(d *adoption.Draft) { d.Upstreams = []string{"http://a:0"} },
		"upstream port 65536":   func(d *adoption.Draft) { d.Upstreams = []string{"http://a:65536"} },
		"upstream with a user":  func(d *adoption.Draft) { d.Upstreams = []string{"http://u@a:1"} },
		"upstream by ftp":       func(d *adoption.Draft) { d.Upstreams = []string{"ftp://a:1"} },
		"shadow with upstreams": func(d *adoption.Draft) { d.Shadow = true },
		"shadow with active content": func(d *adoption.Draft) {
			d.Shadow, d.ActiveContent, d.Upstreams = true, true, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := draft("one")
			change(&d)
			require.NotEmpty(t, r.refused(domain.ValidationFailed, d, adoption.Over{}).Fields)
		})
	}
	d := draft(strings.Repeat("a", adoption.MaxText))
	d.Upstreams = []string{"https://[::1]:65535", "http://a-b.example:1"}
	r.must(d)
}

func TestPut_keepsAThousandFindingsAndCountsTheOthers(t *testing.T) {
	r := newRoom(t)
	for i := range 1500 {
		r.judge.verdict.Warnings = append(r.judge.verdict.Warnings, adoption.Finding{At: fmt.Sprint(i), Message: strings.Repeat("m", 1000)})
		r.judge.verdict.Changes = append(r.judge.verdict.Changes, adoption.Change{Name: fmt.Sprint(i)})
	}
	r.must(draft("one"))
	d := draft("two")
	d.Shadow, d.Upstreams = true, nil
	c := r.must(d)
	for _, e := range []adoption.Edition{c.Live, *c.Shadow} {
		require.Len(t, e.Warnings, 1000)
		require.Equal(t, 1500, e.WarningCount)
		require.Len(t, []rune(e.Warnings[0].Message), 240)
	}
	require.Len(t, c.Shadow.Changes, 1000)
	require.Equal(t, 1500, c.Shadow.ChangeCount)
}

// Whatever paths a document has, each change can be accepted by its name.
func TestPut_givesEachChangeANameThatARequestCanSay(t *testing.T) {
	r := newRoom(t)
	r.must(draft("one"))
	long := "GET /" + strings.Repeat("a", 300)
	r.judge.verdict.Changes = []adoption.Change{{Name: "GET /é\n"}, {Name: long + "b: gone"}, {Name: long + "c: gone"}}
	refusal := r.refused(domain.ContractBreaking, draft("two"), adoption.Over{})
	d := draft("two")
	for _, f := range refusal.Fields {
		require.Regexp(t, `^[ -~]{1,256}$`, f.Name)
		require.NotContains(t, d.Accept, f.Name)
		d.Accept = append(d.Accept, f.Name)
	}
	require.Equal(t, "GET /%C3%A9%0A", d.Accept[0])
	r.must(d)
}

// Version numbers are never reused, so that a holder of an old one notices a new adoption.
func TestRetire_endsTheContractAlone(t *testing.T) {
	r := newRoom(t)
	first := r.must(draft("one"))
	r.retire()
	require.ErrorIs(t, r.adoptions.Retire(t.Context(), r.admin, "press"), domain.NotFound)
	_, err := r.adoptions.Get(t.Context(), r.admin, "press")
	require.ErrorIs(t, err, domain.NotFound)
	s, err := r.services.Get(t.Context(), r.press.ID)
	require.NoError(t, err)
	require.Equal(t, service.Active, s.Status)
	require.Greater(t, r.must(draft("one")).Version, first.Version)
}

// The gateways are notified of every change, in order, and no token is invalidated.
func TestFeed_tellsOfEveryChange(t *testing.T) {
	r := newRoom(t)
	var heard int64
	changes := func() (kinds []string) {
		page, err := r.Feed.After(t.Context(), "", heard, 1000, 0)
		require.NoError(t, err)
		for _, e := range page.Entries {
			if e.Position <= heard { // a follower of another feed gets it from the beginning
				continue
			}
			heard = e.Position
			id := e.ID
			if id == r.press.ID {
				id = "svc"
			}
			kinds = append(kinds, e.Kind+" "+id)
			if e.Kind == revocation.Contract {
				require.Equal(t, 24*time.Hour, e.Until.Sub(e.At))
			}
		}
		return kinds
	}
	version := r.must(draft("one")).Version
	require.Equal(t, []string{"contract press"}, changes())
	require.True(t, r.Live(r.admin))
	r.setStatus(service.Disabled)
	require.Equal(t, []string{"contract press", "owner svc"}, changes())
	require.False(t, r.get().Active)
	require.Greater(t, r.get().Version, version, "whoever has the older version asks again")
	r.setStatus(service.Active)
	require.Equal(t, []string{"contract press"}, changes())
	r.declare("press:read")
	require.Empty(t, changes())
	r.retire()
	require.Equal(t, []string{"contract press"}, changes())
	r.setStatus(service.Disabled)
	r.setStatus(service.Active)
	require.Equal(t, []string{"owner svc"}, changes(), "the service has no contract")
	r.must(draft("one"))
	r.remove()
	heardOf := changes()
	require.Equal(t, "contract press", heardOf[0])
	require.Contains(t, heardOf[1:], "contract press", "deleting the service retires its contract")
	_, err := r.adoptions.Get(t.Context(), r.admin, "press")
	require.ErrorIs(t, err, domain.NotFound)
}

func TestContracts_areReadByTheGatewayAloneOfServices(t *testing.T) {
	r := newRoom(t)
	require.NoError(t, r.services.RegisterFamily(t.Context()))
	r.must(draft("one"))
	for _, name := range []string{"gateway", "search", "press"} {
		s, found, err := kmsdb.Services{}.ByName(t.Context(), r.DB.Read(t.Context()), name)
		require.NoError(t, err)
		require.True(t, found)
		caller := &auth.Principal{Kind: auth.KindService, Subject: s.ID, Scopes: []string{"contracts:read"}}
		_, err = r.adoptions.Get(t.Context(), caller, "press")
		_, _, listErr := r.adoptions.List(t.Context(), caller, "", 10)
		if name == "gateway" {
			require.NoError(t, err)
			require.NoError(t, listErr)
			continue
		}
		require.ErrorIs(t, err, domain.Forbidden)
		require.ErrorIs(t, listErr, domain.Forbidden)
	}
}

// Documents are checked one at a time; only a few may wait, and others are asked to retry.
func TestPut_isOverloadedRatherThanQueuedForEver(t *testing.T) {
	r := newRoom(t)
	working, free := make(chan struct{}, 100), make(chan struct{})
	r.judge.during = func() {
		working <- struct{}{}
		<-free
	}
	results := make(chan error, 100)
	put := func() {
		_, _, err := r.put(draft("one"), adoption.Over{})
		results <- err
	}
	go put()
	<-working
	for range 20 {
		go put()
	}
	for range 12 { // 8 wait
		require.ErrorIs(t, <-results, domain.Overloaded)
	}
	require.Equal(t, 9, r.adoptions.Judge.Waiting())
	require.Empty(t, working, "one at a time")
	close(free)
	for range 9 {
		if err := <-results; err != nil {
			require.ErrorIs(t, err, domain.StateConflict)
		}
	}
	require.Zero(t, r.adoptions.Judge.Waiting())
}

func TestPut_stopsAtTheBounds(t *testing.T) {
	r := newRoom(t)
	r.Write(func(ctx context.Context, tx *store.Tx) error {
		_, _, err := kmsdb.Contracts{}.Take(ctx, tx, adoption.Room{Contracts: adoption.MaxContracts - 1, Bytes: adoption.MaxBytes - 1000}, adoption.Room{Contracts: 1000, Bytes: 1 << 40})
		return err
	})
	r.refused(domain.LimitReached, draft(strings.Repeat("a", 1000)), adoption.Over{})
	r.must(draft(strings.Repeat("a", 500)))
	r.refused(domain.LimitReached, draft(strings.Repeat("a", 1001)), adoption.Over{})
	r.must(draft(strings.Repeat("b", 500)))
	r.Service("other")
	d := draft("a")
	d.Service = "other"
	r.refused(domain.LimitReached, d, adoption.Over{})
	r.retire()
	r.must(d)
}
