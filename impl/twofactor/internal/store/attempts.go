package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/groupcommit"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// maxBatch bounds the attempts that share a commit, and so the arguments of one statement: at most seven for each.
const maxBatch = 256

// errAgain moves an attempt to the next commit, because an earlier attempt of this commit has used a code of the same factor, or has lost (putOff).
var errAgain = errors.New("another code of the factor is being marked")

// Attempt implements factor.Repository.
func (s *Store) Attempt(ctx context.Context, a *factor.Attempt) (v factor.Verdict, err error) {
	defer tried.To(&err, "judge attempt")
	for {
		v, err = s.attempts.Do(ctx, a)
		if !errors.Is(err, errAgain) {
			return v, err
		}
	}
}

// Tries implements factor.Repository.
func (s *Store) Tries(ctx context.Context, subject string) (_ factor.Tries, err error) {
	defer tried.To(&err, "read wrong codes")
	var r triesRow
	err = s.db.Read(ctx).Get(ctx, &r, `SELECT `+triesColumns+` FROM subjects WHERE subject = ?`, subject)
	if none(err) {
		return factor.Tries{}, nil
	}
	return r.tries(), err
}

// triesRow is factor.Tries as stored in the database.
type triesRow struct {
	Subject     string `db:"subject"`
	Wrong       int64  `db:"wrong"`
	LockedUntil int64  `db:"locked_until"`
	FullAt      int64  `db:"full_at"`
	Run         int64  `db:"run"`
	RunSession  string `db:"run_session"`
}

const triesColumns = "subject, wrong, locked_until, full_at, run, run_session"

func (r triesRow) tries() factor.Tries {
	return factor.Tries{Wrong: r.Wrong, LockedUntil: moment(r.LockedUntil), Full: moment(r.FullAt), Run: r.Run, RunSession: r.RunSession}
}

// judging is the work on the attempts of one commit.
type judging struct {
	tx       *store.Tx
	attempts []*factor.Attempt
	states   map[string]*factor.State // by subject
	before   []factor.State           // the state by which each attempt was judged
	verdicts []factor.Verdict
	again    []bool // attempts that wait for the next commit
}

// judge makes one shared commit. It locks subjects in one order. Every transaction that changes a subject's factors locks the subject first.
func judge(ctx context.Context, t *store.Tx, batch []*factor.Attempt) ([]groupcommit.Result[factor.Verdict], error) {
	j := &judging{
		tx: t, attempts: batch, states: make(map[string]*factor.State, len(batch)),
		before: make([]factor.State, len(batch)), verdicts: make([]factor.Verdict, len(batch)), again: make([]bool, len(batch)),
	}
	for _, step := range []func(context.Context) error{j.lock, j.decide, j.mark, j.keepTries, j.keepProven, j.record} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	results := make([]groupcommit.Result[factor.Verdict], len(batch))
	for i := range batch {
		results[i].Value = j.verdicts[i]
		if j.again[i] {
			results[i] = groupcommit.Result[factor.Verdict]{Err: errAgain}
		}
	}
	return results, nil
}

// subjects returns the subjects of the attempts, sorted, each once.
func (j *judging) subjects() []string {
	all := make([]string, 0, len(j.attempts))
	for _, a := range j.attempts {
		all = append(all, a.Subject)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// lockedColumns are the columns by which a code is judged: a subject with one of its factors, or with none. Every column that is read costs time.
const lockedColumns = `s.subject, s.wrong, s.locked_until, s.full_at, s.run, s.run_session,
	f.id, f.sealed_seed, f.algorithm, f.digits, f.period, f.last_step, f.spent, f.drift, f.last_offset`

// addLocked adds a row of lockedColumns to the states.
func (j *judging) addLocked(row []any) (err error) {
	r := cells{row: row}
	tries := triesRow{Subject: r.text(), Wrong: r.number(), LockedUntil: r.number(), FullAt: r.number(), Run: r.number(), RunSession: r.text()}
	state := j.states[tries.Subject]
	if state == nil {
		state = &factor.State{Tries: tries.tries()}
		j.states[tries.Subject] = state
	}
	if row[r.next] == nil { // it has no factor
		return r.err
	}
	f := factor.Record{Factor: factor.Factor{ID: r.text(), Subject: tries.Subject, Type: factor.TypeTOTP, Status: factor.Active}}
	f.SealedSeed = r.bytes()
	f.Parameters = totp.Parameters{Algorithm: totp.Algorithm(r.text()), Digits: int(r.number()), Period: int(r.number())}
	f.LastStep, f.Spent = r.number(), r.bytes()
	f.Clock = totp.Clock{Drift: r.number(), Offset: r.number()}
	state.Factors = append(state.Factors, f)
	return r.err
}

// lock locks the rows of the subjects and reads their factors. A subject without a row gets one, whether or not it has factors, so that answers do not reveal which.
//
// On PostgreSQL, where the lock had to be waited for, what is read of a factor can be older than the lock. That is safe: the counts are those of the locked row, and the
// statement that marks a code as used checks the factor again.
func (j *judging) lock(ctx context.Context) error {
	subjects := j.subjects()
	if j.tx.Cautious() && j.tx.Dialect() == store.PostgreSQL { // what is read below is then not older than the lock
		if err := (store.Rows{Table: "subjects", Key: []string{"subject"}, Where: "subject IN (" + store.Marks(len(subjects)) + ")", Args: anys(subjects)}).Lock(ctx, j.tx); err != nil {
			return err
		}
	}
	for {
		clear(j.states)
		if err := j.tx.SelectFirst(ctx, j.addLocked, lockSubjects(j.tx, len(subjects)), anys(subjects)...); err != nil {
			return err
		}
		if len(j.states) == len(subjects) {
			j.sortFactors()
			return nil
		}
		missing := slices.DeleteFunc(slices.Clone(subjects), func(s string) bool { return j.states[s] != nil })
		_, err := j.tx.Exec(ctx, `INSERT INTO subjects (subject, changes) VALUES `+strings.TrimSuffix(strings.Repeat("(?, 0), ", len(missing)), ", ")+` ON CONFLICT DO NOTHING`, anys(missing)...)
		if err != nil {
			return err
		}
	}
}

// lockSubjects returns the statement that locks the given number of subjects, in one order, and reads their factors.
func lockSubjects(q store.Querier, subjects int) string {
	const (
		read    = `SELECT ` + lockedColumns + ` FROM subjects s LEFT JOIN factors f ON f.subject = s.subject AND f.status = 'active' AND f.type = '` + factor.TypeTOTP + `' WHERE s.subject `
		readOne = read + "= ?"
	)
	if subjects == 1 {
		return readOne + forUpdateOf(q, "s")
	}
	return read + `IN (` + store.Marks(subjects) + `) ORDER BY s.subject` + inByteOrder(q) + forUpdateOf(q, "s")
}

// sortFactors sorts the factors of each subject by id. In the query, the database would build a tree to sort them.
func (j *judging) sortFactors() {
	for _, s := range j.states {
		slices.SortFunc(s.Factors, func(a, b factor.Record) int { return strings.Compare(a.ID, b.ID) })
	}
}

// decide judges the attempts one after the other, each by the state that those before it have left.
func (j *judging) decide(ctx context.Context) error {
	marked := map[string]bool{}
	for i, a := range j.attempts {
		state := j.states[a.Subject]
		state.Proven = factor.Proven{}
		if state.Tries.Locked(a.At) {
			var err error
			if state.Proven, err = j.proven(ctx, a); err != nil {
				return err
			}
		}
		j.before[i] = *state
		v := a.Judge(*state)
		if v.Used != nil && marked[v.Used.ID] {
			j.again[i] = true
			continue
		}
		j.verdicts[i] = v
		state.Tries = v.Tries
		if v.Used != nil {
			marked[v.Used.ID] = true
			state.Factors = slices.Clone(state.Factors)
			state.Factors[slices.IndexFunc(state.Factors, func(r factor.Record) bool { return r.ID == v.Used.ID })] = *v.Used
		}
	}
	return nil
}

// mark marks the steps of right codes as used. Each step has exactly one winner, and a factor never moves back. A code that does not win is refused as used.
func (j *judging) mark(ctx context.Context) error {
	var steps []step
	for i, v := range j.verdicts {
		if v.Used != nil {
			steps = append(steps, j.step(i))
		}
	}
	if len(steps) == 0 {
		return nil
	}
	won, err := j.markSteps(ctx, steps)
	if err != nil {
		return err
	}
	if len(won) < len(steps) && !j.tx.Cautious() { // what was read may be older than the lock: the transaction runs again, cautiously
		return store.ErrUnmet
	}
	for i := range j.verdicts {
		if v := &j.verdicts[i]; v.Used != nil && !slices.Contains(won, v.Used.ID) {
			*v = j.attempts[i].Lost(j.before[i])
			j.states[j.attempts[i].Subject].Tries = v.Tries
			j.putOff(i)
		}
	}
	return nil
}

// step is the move of a factor to the step of its code.
type step struct {
	id                      string
	step, drift, offset, at int64
	was, spent              totp.Steps // spent steps before and after; equal when the step is stored with its session
	session                 string     // "" for a session that is used once (Attempt.Passing)
}

// step returns the move that the verdict on an attempt requires.
func (j *judging) step(i int) step {
	used := j.verdicts[i].Used
	s := step{id: used.ID, step: used.LastStep, drift: used.Clock.Drift, offset: used.Clock.Offset, at: micros(used.LastUsed), spent: used.Spent}
	if !j.attempts[i].Passing {
		s.session = j.attempts[i].Session
	}
	for _, f := range j.before[i].Factors {
		if f.ID == used.ID {
			s.was = f.Spent
		}
	}
	return s
}

// setStep moves a factor, provided that its spent steps are still those by which the code was judged.
const setStep = `UPDATE factors SET last_step = ?, drift = ?, last_offset = ?, last_used_at = ?, spent = ? WHERE id = ? AND status = 'active' AND spent IS NOT DISTINCT FROM ? AND `

// The two forms of setStep. setNewStep itself checks that the step was not used. setLaterStep leaves a part of that to keepStep, which must take effect with it.
var (
	setNewStep   = setStep + newStep(bigint, bigint)
	setLaterStep = setStep + laterStep(bigint, bigint)
)

// args returns the arguments of setStep, and more behind them.
func (s step) args(more ...any) []any {
	return append([]any{s.step, s.drift, s.offset, s.at, blobArg(s.spent), s.id, blobArg(s.was)}, more...)
}

// keepStep stores a step as used, with the session that gave its code.
const keepStep = `INSERT INTO used_steps (factor_id, step, used_at, session) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`

// markSteps moves factors to the steps of their codes and stores these as used. It returns the ids of the factors that moved.
func (j *judging) markSteps(ctx context.Context, steps []step) (won []string, err error) {
	switch {
	case len(steps) == 1 && !j.tx.Cautious():
		return j.markLater(ctx, steps[0])
	case len(steps) == 1:
		return j.markStep(ctx, steps[0])
	}
	blob := blobColumn(j.tx)
	args := make([]any, 0, 7*len(steps))
	for _, s := range steps {
		args = append(args, s.id, s.step, s.drift, s.offset, s.at, blobArg(s.was), blobArg(s.spent))
	}
	err = j.tx.Select(ctx, &won, `WITH used (factor_id, new_step, new_drift, new_offset, new_at, was, new_spent) AS (`+
		store.Values(len(steps), store.Text, store.Bigint, store.Bigint, store.Bigint, store.Bigint, blob, blob)+`)
		UPDATE factors SET last_step = used.new_step, drift = used.new_drift, last_offset = used.new_offset, last_used_at = used.new_at, spent = used.new_spent
		FROM used WHERE factors.id = used.factor_id AND factors.status = 'active' AND factors.spent IS NOT DISTINCT FROM used.was
		AND `+newStep("used.new_step", "used.new_at")+` RETURNING factors.id`, args...)
	if err != nil {
		return nil, err
	}
	args = args[:0]
	for _, s := range steps {
		if s.session != "" && slices.Contains(won, s.id) {
			args = append(args, s.id, s.step, s.at, s.session)
		}
	}
	if len(args) == 0 {
		return won, nil
	}
	_, err = j.tx.Exec(ctx, `INSERT INTO used_steps (factor_id, step, used_at, session) `+store.Values(len(args)/4, store.Text, store.Bigint, store.Bigint, store.Text), args...)
	return won, err
}

// markLater is markSteps for a single step, by statements that run together with the following ones (Tx.Later). When the factor can't move, or the step was used before,
// the whole transaction is rolled back. It then runs again, cautiously, and every attempt is judged by the state at that time.
func (j *judging) markLater(ctx context.Context, s step) (won []string, err error) {
	if s.session == "" {
		return []string{s.id}, j.tx.Later(ctx, store.Statement{Query: setNewStep, Args: s.args(s.step, s.at, s.step, s.step)})
	}
	for _, statement := range []store.Statement{
		{Query: setLaterStep, Args: s.args(s.step, s.at, s.step)},
		{Query: keepStep, Args: []any{s.id, s.step, s.at, s.session}},
	} {
		if err := j.tx.Later(ctx, statement); err != nil {
			return nil, err
		}
	}
	return []string{s.id}, nil
}

// errNotKept fails the transaction: a code whose step is not stored as used could be used again.
var errNotKept = errors.New("the step of the code was not kept")

// markStep is markSteps for a single step, by plain statements, which cost half as much.
func (j *judging) markStep(ctx context.Context, s step) (won []string, err error) {
	moved, err := j.tx.Exec(ctx, setNewStep, s.args(s.step, s.at, s.step, s.step)...)
	if err != nil || moved == 0 {
		return nil, err
	}
	if s.session != "" {
		kept, err := j.tx.Exec(ctx, keepStep, s.id, s.step, s.at, s.session)
		if err != nil {
			return nil, err
		}
		if kept == 0 {
			return nil, errNotKept
		}
	}
	return []string{s.id}, nil
}

// putOff moves attempts to the next commit that follow a lost attempt of the same subject, and were judged as if it had won.
func (j *judging) putOff(lost int) {
	for i := lost + 1; i < len(j.attempts); i++ {
		if j.attempts[i].Subject == j.attempts[lost].Subject && j.verdicts[i].Used == nil {
			j.again[i] = true
		}
	}
}

// keepTries writes the counts that have changed.
func (j *judging) keepTries(ctx context.Context) error {
	changed := map[string]bool{}
	for i, a := range j.attempts {
		if !j.again[i] && j.verdicts[i].Event != nil && j.verdicts[i].Tries != j.before[i].Tries {
			changed[a.Subject] = true
		}
	}
	var args []any
	for _, subject := range j.subjects() {
		if changed[subject] {
			t := j.states[subject].Tries
			args = append(args, subject, t.Wrong, micros(t.LockedUntil), micros(t.Full), t.Run, t.RunSession)
		}
	}
	if len(args) == 0 {
		return nil
	}
	_, err := j.tx.Exec(ctx, `WITH tries (who, new_wrong, new_locked, new_full, new_run, new_session) AS (`+store.Values(len(args)/6, store.Text, store.Bigint, store.Bigint, store.Bigint, store.Bigint, store.Text)+`)
		UPDATE subjects SET wrong = tries.new_wrong, locked_until = tries.new_locked, full_at = tries.new_full, run = tries.new_run, run_session = tries.new_session
		FROM tries WHERE subjects.subject = tries.who`, args...)
	return err
}

// proven reads whether the session of an attempt is proven (factor.Proven), and how many wrong codes it has given while its subject was locked. Only proven sessions have
// a row in session_tries.
func (j *judging) proven(ctx context.Context, a *factor.Attempt) (p factor.Proven, err error) {
	if a.Session == "" {
		return p, nil
	}
	since := micros(a.At.Add(-factor.ProvenLife))
	err = j.tx.Get(ctx, &p.Wrong, `SELECT wrong FROM session_tries WHERE subject = ? AND session = ? AND last_at > ?`, a.Subject, a.Session, since)
	if !none(err) {
		return factor.Proven{Is: err == nil, Wrong: p.Wrong}, err
	}
	var right int
	err = j.tx.Get(ctx, &right, `SELECT COUNT(*) FROM used_steps u JOIN factors f ON f.id = u.factor_id WHERE f.subject = ? AND u.session = ? AND u.used_at > ?`,
		a.Subject, a.Session, since)
	return factor.Proven{Is: right > 0}, err
}

// keepProven stores the counts of proven sessions that gave a code while their subject was locked.
func (j *judging) keepProven(ctx context.Context) error {
	for i, a := range j.attempts {
		if j.again[i] || !j.before[i].Proven.Is || j.verdicts[i].Event == nil {
			continue
		}
		if err := keepSessionTries(ctx, j.tx, a.Subject, a.Session, j.verdicts[i].Proven.Wrong, a.At); err != nil {
			return err
		}
	}
	return nil
}

// keepSessionTries stores how many wrong codes a proven session has given.
func keepSessionTries(ctx context.Context, t *store.Tx, subject, session string, wrong int64, now time.Time) error {
	_, err := t.Exec(ctx, `INSERT INTO session_tries (subject, session, wrong, last_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (subject, session) DO UPDATE SET wrong = excluded.wrong, last_at = excluded.last_at`, subject, session, wrong, micros(now))
	return err
}

// record adds an event to the audit trail for every attempt whose code was compared.
func (j *judging) record(ctx context.Context) error {
	var events []audit.Event
	for i, v := range j.verdicts {
		if v.Event != nil && !j.again[i] {
			events = append(events, recorded(*v.Event))
		}
	}
	return audit.Append(ctx, j.tx, events...)
}

// keepUsed is how long accepted steps are kept: longer than clocks are set back by mistake, and as long as a session counts as proven.
const keepUsed = max(48*time.Hour, factor.ProvenLife)
