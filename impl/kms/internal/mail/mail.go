// Package mail stores the mails about users' accounts until twofactor has sent them. A mail is written in the transaction of the event that it is about,
// so that neither exists without the other. The token of its link is sealed, and erased once the mail was sent or has failed.
package mail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/user"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/mailaddress"
	"github.com/fountainai/fountain/internal/page"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Kind is the subject of a mail.
type Kind string

// The kinds of mails.
const (
	PasswordReset     Kind = "password_reset"     // a link to choose a new password, requested by an administrator
	ForgottenPassword Kind = "forgotten_password" // the same, requested at the sign-in page by anyone who knows the login
	PasswordChanged   Kind = "password_changed"   // reports that such a link was used
	AddressChanged    Kind = "address_changed"    // tells the old address that it is no longer the account's
	Invitation        Kind = "invitation"         // a link to enrol a first second factor
)

// Status is the state of a mail's delivery.
type Status string

// The states of a mail.
const (
	Waiting Status = "waiting"
	Sent    Status = "sent" // a mail server has accepted it
	Failed  Status = "failed"
)

// Mail is a mail as administrators see it.
type Mail struct {
	ID                              string
	Kind                            Kind
	UserID                          string
	To                              string // masked
	Status                          Status
	Reason                          string // a word; "" for none
	Tries                           int
	CreatedAt, UpdatedAt, ExpiresAt time.Time
}

// Order is a mail that was claimed for sending.
type Order struct {
	Mail
	Sealed []byte
	Lease  string
}

// Claimed is an order with the address and link that the sender needs.
type Claimed struct {
	Order
	Address string
	Link    string // "" for a mail without a link
}

// Rows are the queries for mails.
type Rows interface {
	// Insert stores a waiting mail.
	Insert(ctx context.Context, tx *store.Tx, m Mail, sealed []byte) error
	// Claim leases at most limit due mails until the given time, and returns them.
	Claim(ctx context.Context, tx *store.Tx, lease string, at, until time.Time, limit int) ([]Order, error)
	// Due reports whether a mail is due.
	Due(ctx context.Context, q store.Querier, at time.Time) (bool, error)
	// Leased returns a waiting mail; false when there is none, or the lease is not the current one.
	Leased(ctx context.Context, tx *store.Tx, id, lease string) (Mail, bool, error)
	// Settle writes the outcome of sending a mail under a lease. The sealed text is erased unless the mail still waits.
	Settle(ctx context.Context, tx *store.Tx, lease string, m Mail, due time.Time) error
	// GiveUp fails the waiting mails that have expired, and returns how many.
	GiveUp(ctx context.Context, tx *store.Tx, at time.Time, reason string) (int64, error)
	// List returns mails, newest first, starting after the mail with ID before.
	List(ctx context.Context, q store.Querier, before string, limit int) ([]Mail, error)
	// Seen stores when mails were last claimed, unless a time after since is already stored; LastSeen returns it.
	Seen(ctx context.Context, tx *store.Tx, at, since time.Time) error
	LastSeen(ctx context.Context, q store.Querier) (time.Time, error)
	// Sweep deletes mails that expired before the time.
	Sweep(ctx context.Context, tx *store.Tx, before time.Time) error

	RequestRows
}

// Sealer seals the content of a mail.
type Sealer interface {
	Seal(plain, aad []byte) ([]byte, error)
	Open(sealed, aad []byte) ([]byte, error)
}

// MAC computes keyed hashes of values that could be guessed from a plain hash.
type MAC interface {
	Sum(data []byte) ([]byte, error)
}

// Config is what Mails depends on.
type Config struct {
	DB        *store.DB
	Rows      Rows
	Users     *user.Users
	Standing  *authority.Standing
	Sealer    Sealer
	Sums      MAC
	PublicURL string // base URL of the links; never taken from a request
	Clock     clock.Clock
	Log       *slog.Logger
}

// Mails is the domain of mails.
type Mails struct {
	Config
	audit auditlog.Log
	count *prometheus.CounterVec

	mu     sync.Mutex
	more   chan struct{} // closed when a mail was written, and at shutdown
	closed bool
}

// New returns the domain of mails.
func New(c Config) *Mails {
	return &Mails{Config: c, audit: auditlog.Log{Clock: c.Clock}, more: make(chan struct{}), count: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fountain_kms_mails_total", Help: "Mails to people about their account, by kind and outcome: written, sent, retried, failed.",
	}, []string{"kind", "outcome"})}
}

// Collector returns the metric of mails by kind and outcome.
func (s *Mails) Collector() prometheus.Collector { return s.count }

const (
	batch      = 16
	leaseTime  = time.Minute
	maxWait    = 25 * time.Second
	lookPause  = time.Second      // between two checks for mails written by other replicas or due again
	seenPause  = 15 * time.Second // between two writes of the time of the last claim
	seenFor    = 2 * time.Minute  // how long after a claim mails count as being sent
	retention  = 7 * 24 * time.Hour
	listName   = "mails"
	longestTry = 10 * time.Minute
)

// content is the sealed part of a mail.
type content struct {
	Address string `json:"address"`
	Token   string `json:"token,omitempty"`
}

func aad(m Mail) []byte { return []byte("mail " + m.ID + " " + m.UserID) }

// Off returns the refusal for a deployment in which no service sends mails.
func Off() error {
	return domain.Refuse(domain.MailOff, "Mails can't be sent: no mail server is configured, or the service that sends mails does not run.")
}

// On reports whether mails are being sent: they were claimed within seenFor.
func (s *Mails) On(ctx context.Context, q store.Querier) (bool, error) {
	seen, err := s.Rows.LastSeen(ctx, q)
	if err != nil {
		return false, fmt.Errorf("read when mails were last claimed: %w", err)
	}
	return s.Clock.Now().Sub(seen) < seenFor, nil
}

// SendReset sends a user a link to choose a new password, to the address or, if it is "", to the user's own. Errors: domain.MailOff, domain.NotFound,
// domain.StateConflict for a disabled user, domain.ValidationFailed for an invalid address and for a user who has none.
func (s *Mails) SendReset(ctx context.Context, tx *store.Tx, caller *auth.Principal, userID, address string) (_ Mail, err error) {
	defer tried.To(&err, "mail password reset")
	made, err := s.Users.CreateReset(ctx, tx, caller, userID, true)
	if err != nil {
		return Mail{}, err
	}
	return s.order(ctx, tx, PasswordReset, userID, address, made.Token, made.ExpiresAt)
}

// SendInvitation sends an administrator a link with an invitation. Errors: as SendReset; domain.StateConflict for a user who needs none.
func (s *Mails) SendInvitation(ctx context.Context, tx *store.Tx, caller *auth.Principal, userID, address string) (_ Mail, err error) {
	defer tried.To(&err, "mail invitation")
	made, err := s.Users.Invite(ctx, tx, caller, userID)
	if err != nil {
		return Mail{}, err
	}
	return s.order(ctx, tx, Invitation, userID, address, made.Token, made.ExpiresAt)
}

// order writes a mail that an administrator has requested, and records it.
func (s *Mails) order(ctx context.Context, tx *store.Tx, kind Kind, userID, address, token string, expires time.Time) (Mail, error) {
	on, err := s.On(ctx, tx)
	if err != nil {
		return Mail{}, err
	}
	if !on {
		return Mail{}, Off()
	}
	if address == "" {
		u, err := s.Users.GetIn(ctx, tx, userID)
		if err != nil {
			return Mail{}, err
		}
		address = u.Email
	}
	if address == "" {
		return Mail{}, domain.Refuse(domain.ValidationFailed, "The user has no mail address.").WithField("body", "/to", "required", "must be given: the user has no address")
	}
	parsed, err := mailaddress.Parse(address)
	if err != nil {
		return Mail{}, domain.Refuse(domain.ValidationFailed, "This is not a mail address.").WithField("body", "/to", "email", err.Error())
	}
	m, err := s.write(ctx, tx, kind, userID, content{parsed, token}, expires)
	if err != nil {
		return Mail{}, err
	}
	return m, s.audit.Append(ctx, tx, auditlog.Event{Action: actions[kind], Target: userID, Detail: map[string]string{"mail": m.ID, "to": m.To}})
}

// actions are the operations by which administrators request mails.
var actions = map[Kind]string{PasswordReset: "mailPasswordReset", Invitation: "mailInvitation"}

// write stores a waiting mail.
func (s *Mails) write(ctx context.Context, tx *store.Tx, kind Kind, userID string, c content, expires time.Time) (Mail, error) {
	now := domain.Now(s.Clock)
	m := Mail{ID: id.New("mail"), Kind: kind, UserID: userID, To: mailaddress.Mask(c.Address), Status: Waiting, CreatedAt: now, UpdatedAt: now, ExpiresAt: expires}
	plain, err := json.Marshal(c)
	if err != nil {
		return Mail{}, fmt.Errorf("write mail: %w", err)
	}
	sealed, err := s.Sealer.Seal(plain, aad(m))
	if err != nil {
		return Mail{}, fmt.Errorf("seal mail: %w", err)
	}
	if err := s.Rows.Insert(ctx, tx, m, sealed); err != nil {
		return Mail{}, fmt.Errorf("store mail: %w", err)
	}
	tx.AfterCommit(func() {
		s.count.WithLabelValues(string(kind), "written").Inc()
		s.wake()
	})
	return m, nil
}

// List returns a page of mails, newest first, and the cursor of the next page, or "".
func (s *Mails) List(ctx context.Context, cursor string, limit int) (_ []Mail, _ string, err error) {
	defer tried.To(&err, "list mails")
	var before string
	if cursor != "" {
		if err := page.Decode(listName, cursor, &before); err != nil {
			return nil, "", err
		}
	}
	mails, err := s.Rows.List(ctx, s.DB.Read(ctx), before, limit+1)
	if err != nil || len(mails) <= limit {
		return mails, "", err
	}
	mails = mails[:limit]
	return mails, page.Encode(listName, mails[limit-1].ID), nil
}

// Sweep fails mails that have expired, and deletes those that expired longer than retention ago.
func (s *Mails) Sweep(ctx context.Context) error {
	now := domain.Now(s.Clock)
	var late int64
	err := s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if late, err = s.Rows.GiveUp(ctx, tx, now, "late"); err != nil {
			return err
		}
		return s.Rows.Sweep(ctx, tx, now.Add(-retention))
	})
	if err != nil {
		return fmt.Errorf("sweep mails: %w", err)
	}
	if late > 0 {
		s.Log.WarnContext(ctx, "mails were not sent in time", "mails", late)
		s.count.WithLabelValues("any", "late").Add(float64(late))
	}
	return nil
}

// errUnreadable says that the sealed content of a mail can't be opened or decoded.
var errUnreadable = errors.New("the text of a mail can't be read")

// open opens the content of an order.
func (s *Mails) open(o Order) (Claimed, error) {
	plain, err := s.Sealer.Open(o.Sealed, aad(o.Mail))
	if err != nil {
		return Claimed{}, errors.Join(errUnreadable, err)
	}
	var c content
	if err := json.Unmarshal(plain, &c); err != nil {
		return Claimed{}, errors.Join(errUnreadable, err)
	}
	claimed := Claimed{Order: o, Address: c.Address}
	if c.Token != "" {
		claimed.Link = s.link(o.Kind, c.Token)
	}
	return claimed, nil
}

// link returns the link of a mail. The token is in the fragment, which browsers do not send to servers.
func (s *Mails) link(kind Kind, token string) string {
	path := "/kms/v1/auth/password-reset#"
	if kind == Invitation {
		path = "/twofactor/v1/enroll#"
	}
	return s.PublicURL + path + token
}
