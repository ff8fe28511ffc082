package revocation

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func TestSet_endsWhatAnEntryNamesAlone(t *testing.T) {
	token := func(change func(p *auth.Principal)) *auth.Principal {
		p := &auth.Principal{Subject: "usr_1", TokenID: "tok_1", SessionID: "ses_1", ClientID: "fountain", Epoch: 3}
		change(p)
		return p
	}
	s := NewSet()
	for i, e := range []Entry{{Kind: Token, ID: "tok_9"}, {Kind: Session, ID: "ses_9"}, {Kind: Key, ID: "key_9"}, {Kind: Owner, ID: "usr_9", Epoch: 3}, {Kind: "of a later release", ID: "usr_1"}} {
		e.Position, e.Until = int64(i+1), noon.Add(time.Minute)
		s.Add(e)
	}
	for name, c := range map[string]struct {
		p     *auth.Principal
		ended bool
	}{
		"nothing of it":              {token(func(*auth.Principal) {}), false},
		"the token":                  {token(func(p *auth.Principal) { p.TokenID = "tok_9" }), true},
		"the session":                {token(func(p *auth.Principal) { p.SessionID = "ses_9" }), true},
		"no session":                 {token(func(p *auth.Principal) { p.SessionID = "" }), false},
		"the key":                    {token(func(p *auth.Principal) { p.SessionID, p.ClientID = "", "key_9" }), true},
		"the owner, before":          {token(func(p *auth.Principal) { p.Subject, p.Epoch = "usr_9", 2 }), true},
		"the owner, since":           {token(func(p *auth.Principal) { p.Subject = "usr_9" }), false},
		"a session id as a key's id": {token(func(p *auth.Principal) { p.ClientID = "ses_9" }), false},
	} {
		require.Equal(t, c.ended, s.Ended(c.p), name)
	}
	s.Add(Entry{Kind: Owner, ID: "usr_9", Epoch: 2, Until: noon.Add(time.Hour)})
	require.True(t, s.Ended(token(func(p *auth.Principal) { p.Subject, p.Epoch = "usr_9", 2 })), "an older entry takes nothing back")
	require.Equal(t, 4, s.Len())
	s.Sweep(noon.Add(2 * time.Minute))
	require.Zero(t, s.Len())
}

// A hundred thousand revocations within the life of a token take bounded memory.
func TestSet_holdsAHundredThousandEndings(t *testing.T) {
	memory := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := memory()
	s := NewSet()
	for i := range 100_000 {
		s.Add(Entry{Position: int64(i), Kind: Session, ID: fmt.Sprintf("ses_%026d", i), Until: noon})
	}
	used := memory() - before
	t.Logf("%d bytes for 100,000 endings", used)
	require.Less(t, used, uint64(40<<20))
	s.Sweep(noon.Add(time.Second))
	require.Zero(t, s.Len())
	runtime.KeepAlive(s)
}

func BenchmarkSet_Ended(b *testing.B) {
	s := NewSet()
	for i := range 100_000 {
		s.Add(Entry{Kind: Session, ID: fmt.Sprintf("ses_%026d", i), Until: noon})
	}
	p := &auth.Principal{Subject: "usr_1", TokenID: "tok_1", SessionID: "ses_1", ClientID: "fountain"}
	b.ReportAllocs()
	for b.Loop() {
		if s.Ended(p) {
			b.Fatal("it was not ended")
		}
	}
}
