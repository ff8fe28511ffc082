package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/store"
)

// archiveCall is how the command was called.
type archiveCall struct {
	before, dir, service, data, recipientsFile string
	recipients                                 []string
	keep                                       bool
}

func newAuditArchive(o *operator) *cobra.Command {
	var a archiveCall
	cmd := o.command("archive", "Archive old events of an audit trail, verify the archive, and remove the events from the trail",
		`  fountain audit archive --before 2026-09-01 --dir /archives --recipient age1...
  fountain audit archive --service sequence --data ./data --before 2026-09-01 --dir /archives --plain`, noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error { return a.run(cmd, o, c) })
	var plain bool
	cmd.Long = `archive writes the oldest events of a trail, up to a date, to a new file in a directory: an export that ends
with a checkpoint, encrypted with age to your key ("fountain backup key" creates one), or with --plain
unencrypted. It verifies the events, and reads the written file again from the disk. Only then does it ask the
kms to remove these events. The kms refuses events that the trail has not signed, an archive that does not
begin where the trail begins, and events that are younger than FOUNTAIN_<SERVICE>_AUDIT_KEEP (90 days); the
command refuses those before it writes anything, by the clock of the service and the time that the service has
reported. The next call with the same directory continues an interrupted one. Copy the directory to another machine: afterwards the archives are the only
copy. "fountain audit verify --archives" verifies them and their connection to the trail.

The trails of other services are read from their databases, up to the last checkpoint, of those that the kms
has recorded, that is before the date: archive them before the trail of the kms. They remove the events within
minutes.`
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if a.dir == "" || a.before == "" {
			return usagef("--dir and --before are needed")
		}
		if plain == (len(a.recipients) > 0 || a.recipientsFile != "") {
			return usagef("pass --recipient or --recipients-file, which name who can read the archive, or --plain")
		}
		return run(cmd, args)
	}
	cmd.Flags().StringVar(&a.before, "before", "", "archive events before this day or time (UTC)")
	cmd.Flags().StringVar(&a.dir, "dir", "", "directory of the archives; use the same one for all archives of a trail")
	cmd.Flags().StringVar(&a.service, "service", "kms", "service of the trail: kms, twofactor, search or sequence")
	cmd.Flags().StringVar(&a.data, "data", env("FOUNTAIN_DATA", "./data"), "data directory of fountain up (FOUNTAIN_DATA), for the trails of services other than the kms; FOUNTAIN_<SERVICE>_... settings take precedence")
	cmd.Flags().StringArrayVar(&a.recipients, "recipient", nil, "age public key that the archive is encrypted to (age1...); may be repeated")
	cmd.Flags().StringVar(&a.recipientsFile, "recipients-file", "", "file with age public keys, one per line")
	cmd.Flags().BoolVar(&plain, "plain", false, "do not encrypt the archive")
	cmd.Flags().BoolVar(&a.keep, "keep", false, "only write the archive, and remove nothing; the next call without --keep continues")
	return cmd
}

func (a *archiveCall) time() (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, a.before); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, usagef("--before must be a day (2026-09-01) or a time (RFC 3339)")
}

// label lies beside an archive and says what it is, for whoever can't open it.
type label struct {
	Service    string           `json:"service"`
	After      int64            `json:"after"` // number of the event after which it begins
	Events     int64            `json:"events"`
	Checkpoint audit.Checkpoint `json:"checkpoint"` // its end
	SHA256     string           `json:"sha256"`     // of the file
}

const labelEnd = ".json"

func (a *archiveCall) run(cmd *cobra.Command, o *operator, c *fountain.Client) error {
	before, err := a.time()
	if err != nil {
		return err
	}
	who, err := a.sealedTo()
	if err != nil {
		return err
	}
	source, err := a.source(cmd, c, before)
	if err != nil {
		return err
	}
	file, l, err := a.unfinished(source.after)
	if err == nil && file == "" && !a.keep {
		err = source.old()
	}
	if err == nil && file == "" {
		file, l, err = a.write(source, who)
	}
	err = errors.Join(err, source.close())
	switch {
	case err != nil:
		return err
	case file == "":
		return o.done(cmd, "there is nothing to archive before that time")
	case a.keep:
		return o.done(cmd, fmt.Sprintf("wrote %d events to %s; nothing is removed", l.Events, file))
	}
	return a.remove(cmd, o, c, file, l)
}

func (a *archiveCall) sealedTo() ([]age.Recipient, error) {
	if len(a.recipients) == 0 && a.recipientsFile == "" {
		return nil, nil
	}
	return readRecipients(a.recipients, a.recipientsFile)
}

// trailSource is what an archive is made of.
type trailSource struct {
	after  int64 // number of the event after which the trail begins
	public ed25519.PublicKey
	old    func() error            // refuses, before anything is written, what the trail would not let go
	write  func(w io.Writer) error // an export
	close  func() error
}

func (a *archiveCall) source(cmd *cobra.Command, c *fountain.Client, before time.Time) (*trailSource, error) {
	if a.service == "kms" {
		return a.ownSource(cmd, c, before)
	}
	return a.otherSource(cmd, c, before)
}

// ownSource reads the kms's trail by its operations.
func (a *archiveCall) ownSource(cmd *cobra.Command, c *fountain.Client, before time.Time) (*trailSource, error) {
	signed, err := c.KMS.GetAuditCheckpoint(cmd.Context())
	if err != nil {
		return nil, err
	}
	page, err := c.KMS.ListAuditEvents(cmd.Context(), &kms.ListAuditEventsParams{Limit: new(common.Limit(1))})
	if err != nil {
		return nil, err
	}
	s := &trailSource{public: signed.PublicKey, close: func() error { return nil }, old: func() error { return nil }}
	if page.ArchivedBefore != nil {
		s.after = *page.ArchivedBefore - 1
	}
	if page.KeptSeconds != nil && page.At != nil {
		b := keepBound{service: a.service, kept: seconds(*page.KeptSeconds), now: *page.At}
		s.old = func() error { return b.refuseOwn(cmd.Context(), c, before) }
	}
	s.write = func(w io.Writer) error {
		_, err := c.KMS.WriteAuditBefore(cmd.Context(), w, s.after, &before)
		return err
	}
	return s, nil
}

// keepBound says for how long a service keeps events. By it an archive is refused that would be written in vain; the service judges in the end.
type keepBound struct {
	service string
	kept    time.Duration
	now     time.Time     // by the clock of the kms
	ahead   time.Duration // of the service's clock before that of the kms
}

// seconds is a number of seconds that was told, within what a duration holds.
func seconds(n int64) time.Duration {
	return time.Duration(min(max(n, 0), int64(math.MaxInt64/time.Second))) * time.Second
}

// refuse refuses the youngest event that an archive would have, by the clock of its service, when it has to be kept still.
func (b keepBound) refuse(seq int64, at time.Time) error {
	latest := b.now.Add(-b.kept)
	if !at.After(latest.Add(b.ahead)) {
		return nil
	}
	return fmt.Errorf("event %d is of %s, and the %s keeps every event for %s: give a --before of %s or earlier, or --keep, which writes the archive and has nothing removed; nothing was written",
		seq, at.UTC().Format(time.RFC3339), named(b.service), audit.KeptFor(b.kept), latest.UTC().Format(time.RFC3339))
}

// named is a service in a sentence: the kms, the twofactor service.
func named(service string) string {
	if service == "kms" {
		return service
	}
	return service + " service"
}

// refuseOwn refuses a time before which the kms has recorded something that it still keeps.
func (b keepBound) refuseOwn(ctx context.Context, c *fountain.Client, before time.Time) error {
	for e, err := range c.KMS.AuditEvents(ctx, kms.ListAuditEventsParams{To: &before}) { // the newest is the first
		if err != nil {
			return err
		}
		return b.refuse(e.Seq, e.At)
	}
	return nil
}

// reportedBound is what another service has told the kms last, with a checkpoint: for how long it keeps events, and what its clock says. false: it has not, being of an older release.
func reportedBound(ctx context.Context, c *fountain.Client, service string) (b keepBound, told bool, err error) {
	page, err := c.KMS.ListAuditEvents(ctx, &kms.ListAuditEventsParams{Limit: new(common.Limit(1))})
	if err != nil || page.At == nil {
		return b, false, err
	}
	e, d, err := newestWitness(ctx, c, service, nil)
	if err != nil || d == nil || d["keptSeconds"] == "" {
		return b, false, err
	}
	kept, err1 := strconv.ParseInt(d["keptSeconds"], 10, 64)
	at, err2 := time.Parse(time.RFC3339Nano, d["at"])
	if errors.Join(err1, err2) != nil {
		return b, false, noCheckpoint(e)
	}
	return keepBound{service: service, kept: seconds(kept), now: *page.At, ahead: at.Sub(e.At)}, true, nil
}

// otherSource reads another service's database, up to the newest checkpoint that the kms has witnessed before the time.
func (a *archiveCall) otherSource(cmd *cobra.Command, c *fountain.Client, before time.Time) (*trailSource, error) {
	end, found, err := witnessed(cmd.Context(), c, a.service, before)
	if err != nil {
		return nil, err
	}
	db, err := openTrail(cmd.Context(), a.service, a.data)
	if err != nil {
		return nil, err
	}
	from, err := audit.StoredFrom(cmd.Context(), db.Read(cmd.Context()))
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s := &trailSource{after: from.Seq, public: end.PublicKey, close: db.Close}
	if !found || end.Seq <= from.Seq {
		s.old, s.write = func() error { return nil }, func(io.Writer) error { return errNothing }
		return s, nil
	}
	s.old = func() error { return refuseStored(cmd.Context(), c, db, from.Seq, end) }
	s.write = func(w io.Writer) error { return exportStored(cmd.Context(), db, end, w) }
	return s, nil
}

// refuseStored refuses an archive of another service's trail that has an event which the service still keeps.
func refuseStored(ctx context.Context, c *fountain.Client, db *store.DB, after int64, end audit.Checkpoint) error {
	b, told, err := reportedBound(ctx, c, end.Service)
	if err != nil || !told {
		return err
	}
	seq, at, err := audit.NewestWithin(ctx, db.Read(ctx), after, end.Seq)
	if err != nil || seq == 0 {
		return err
	}
	return b.refuse(seq, at)
}

// errNothing says that there is no event to archive.
var errNothing = errors.New("there is nothing to archive")

func exportStored(ctx context.Context, db *store.DB, end audit.Checkpoint, w io.Writer) error {
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false) // events keep the bytes that they were stored with
	return audit.ExportStored(ctx, db.Read(ctx), end, func(l audit.Line) error { return lines.Encode(l) })
}

// newestWitness returns the newest record of a checkpoint of a service in the kms's trail, before a time if there is one, and its detail; nil when there is none.
func newestWitness(ctx context.Context, c *fountain.Client, service string, before *time.Time) (kms.AuditEvent, map[string]string, error) {
	action := "witnessAudit"
	for e, err := range c.KMS.AuditEvents(ctx, kms.ListAuditEventsParams{Action: &action, Target: &service, To: before}) {
		if err != nil {
			return e, nil, err
		}
		if e.Detail != nil {
			return e, *e.Detail, nil
		}
	}
	return kms.AuditEvent{}, nil, nil
}

func noCheckpoint(e kms.AuditEvent) error {
	return fmt.Errorf("event %d of the kms's trail contains no checkpoint", e.Seq)
}

// witnessed returns the newest checkpoint of a service that the kms has recorded before a time.
func witnessed(ctx context.Context, c *fountain.Client, service string, before time.Time) (end audit.Checkpoint, found bool, err error) {
	e, d, err := newestWitness(ctx, c, service, &before)
	if err != nil || d == nil {
		return end, false, err
	}
	seq, err1 := strconv.ParseInt(d["seq"], 10, 64)
	hash, err2 := base64.StdEncoding.DecodeString(d["hash"])
	at, err3 := time.Parse(time.RFC3339Nano, d["at"])
	public, err4 := base64.StdEncoding.DecodeString(d["publicKey"])
	signature, err5 := base64.StdEncoding.DecodeString(d["signature"])
	if errors.Join(err1, err2, err3, err4, err5) != nil {
		return end, false, noCheckpoint(e)
	}
	return audit.Checkpoint{Service: service, Seq: seq, Hash: hash, At: at, KeyID: audit.KeyName(public), PublicKey: public, Signature: signature}, true, nil
}

// write writes, verifies and names a new archive with its label; "" when there are no events for it.
func (a *archiveCall) write(s *trailSource, who []age.Recipient) (file string, l label, err error) {
	if err := os.MkdirAll(a.dir, 0o700); err != nil {
		return "", l, fmt.Errorf("write archive: %w", err)
	}
	part := filepath.Join(a.dir, a.service+".part")
	out, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return "", l, fmt.Errorf("%s exists, from an archive that is being written or was interrupted: remove it when nothing is writing", part)
	}
	if err != nil {
		return "", l, fmt.Errorf("write archive: %w", err)
	}
	end, sum, err := s.copyTo(out, a.service, who)
	err = errors.Join(err, out.Sync(), out.Close())
	if err == nil {
		err = sameOnDisk(part, sum)
	}
	l = label{Service: a.service, After: end.After, Events: end.Checked, Checkpoint: end.End, SHA256: sum}
	if errors.Is(err, errNothing) || err == nil && end.Checked == 0 {
		return "", l, os.Remove(part)
	}
	if err == nil && end.After != s.after {
		err = errors.New("the beginning of the trail has changed: run the command again")
	}
	if err != nil {
		return "", l, errors.Join(fmt.Errorf("write archive: %w", err), os.Remove(part))
	}
	file = filepath.Join(a.dir, fmt.Sprintf("%s-%012d-%012d.ndjson", a.service, l.After+1, l.Checkpoint.Seq))
	if who != nil {
		file += ".age"
	}
	if err := writeLabel(file, l); err != nil {
		return "", l, err
	}
	return file, l, nameArchive(part, file)
}

// copyTo writes an export to an archive and verifies it on the way. sum is the checksum of what was written.
func (s *trailSource) copyTo(out io.Writer, service string, who []age.Recipient) (end audit.Archived, sum string, err error) {
	summed := sha256.New()
	buffered := bufio.NewWriter(io.MultiWriter(out, summed))
	sealed := io.WriteCloser(plainWriter{buffered})
	if who != nil {
		if sealed, err = age.Encrypt(buffered, who...); err != nil {
			return end, "", fmt.Errorf("encrypt: %w", err)
		}
	}
	reader, writer := io.Pipe()
	verified := make(chan error, 1)
	go func() {
		var err error
		end, err = audit.VerifyPart(reader, service, s.public)
		reader.CloseWithError(err) // what is still to be written fails
		verified <- err
	}()
	err = s.write(io.MultiWriter(sealed, writer))
	writer.CloseWithError(err)
	if told := <-verified; err == nil {
		err = told
	}
	err = errors.Join(err, sealed.Close(), buffered.Flush())
	return end, hex.EncodeToString(summed.Sum(nil)), err
}

type plainWriter struct{ io.Writer }

// Close implements io.Closer.
func (plainWriter) Close() error { return nil }

// sameOnDisk reads a file again.
func sameOnDisk(file, sum string) error {
	in, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("read archive: %w", err)
	}
	defer in.Close()
	found := sha256.New()
	if _, err := io.Copy(found, in); err != nil {
		return fmt.Errorf("read archive: %w", err)
	}
	if hex.EncodeToString(found.Sum(nil)) != sum {
		return fmt.Errorf("%s does not contain what was written to it", file)
	}
	return nil
}

func writeLabel(file string, l label) error {
	text, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return fmt.Errorf("write label: %w", err)
	}
	out, err := os.OpenFile(file+labelEnd, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) // one of a call that was killed before the archive had its name
	if err != nil {
		return fmt.Errorf("write label: %w", err)
	}
	_, err = out.Write(append(text, '\n'))
	if err := errors.Join(err, out.Sync(), out.Close()); err != nil {
		return fmt.Errorf("write label: %w", err)
	}
	return nil
}

func readLabel(file string) (l label, err error) {
	text, err := os.ReadFile(filepath.Clean(file + labelEnd))
	if err != nil {
		return l, fmt.Errorf("read label: %w", err)
	}
	if err := json.Unmarshal(text, &l); err != nil {
		return l, fmt.Errorf("read label %s: not a label: %w", file+labelEnd, err)
	}
	return l, nil
}

// unfinished returns the archive that begins where the trail begins: its events were not removed yet.
func (a *archiveCall) unfinished(after int64) (string, label, error) {
	files, err := archivesIn(a.dir, a.service)
	if err != nil {
		return "", label{}, err
	}
	for _, file := range files {
		l, err := readLabel(file)
		if err != nil {
			return "", l, err
		}
		if l.Service == a.service && l.After == after {
			return file, l, sameOnDisk(file, l.SHA256)
		}
	}
	return "", label{}, nil
}

// archivesIn lists the archives of a trail in their order.
func archivesIn(dir, service string) ([]string, error) {
	var files []string
	for _, end := range []string{".ndjson", ".ndjson.age"} {
		found, err := filepath.Glob(filepath.Join(dir, service+"-*"+end))
		if err != nil {
			return nil, fmt.Errorf("list archives: %w", err)
		}
		files = append(files, found...)
	}
	slices.Sort(files)
	return files, nil
}

const (
	removalPause = time.Second
	removalLimit = 10 * time.Minute
)

// remove orders the removal and waits for its end.
func (a *archiveCall) remove(cmd *cobra.Command, o *operator, c *fountain.Client, file string, l label) error {
	k := l.Checkpoint
	order := kms.AuditArchive{After: l.After, Checkpoint: kms.AuditCheckpoint{
		Service: k.Service, Seq: k.Seq, Hash: k.Hash, At: k.At, KeyID: k.KeyID, PublicKey: k.PublicKey, Signature: k.Signature,
	}}
	ctx, cancel := context.WithTimeout(cmd.Context(), removalLimit)
	defer cancel()
	for {
		r, err := c.KMS.ArchiveAudit(ctx, order)
		switch {
		case err != nil:
			return fmt.Errorf("%s is complete, but its events were not removed from the trail: %w", file, err)
		case r.Removed == nil:
			return o.done(cmd, fmt.Sprintf("%d events are in %s; %s removes them from its trail within minutes, or says why not in its log", l.Events, file, a.service))
		case *r.Removed >= r.Ordered:
			return o.done(cmd, fmt.Sprintf("%d events are in %s, and no more in the trail, which begins with number %d now", l.Events, file, r.Ordered+1))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is complete, and its events are still being removed: the trail now begins with number %d", file, *r.Removed+1)
		case <-time.After(removalPause):
		}
	}
}

// whole verifies the archives of a trail, and what the trail holds behind them.
func (a *auditCheck) whole(cmd *cobra.Command, o *operator, public ed25519.PublicKey, known []audit.Checkpoint) (err error) {
	files, err := archivesIn(a.archives, a.service)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("there is no archive of the trail of %[2]s in %[1]s", a.archives, a.service)
	}
	if a.file != "" {
		files = append(files, a.file)
	}
	texts := make([]audit.Text, 0, len(files))
	for _, file := range files {
		in, err := os.Open(file)
		if err != nil {
			return fmt.Errorf("read archive: %w", err)
		}
		defer in.Close()
		text, err := a.open(file, in)
		if err != nil {
			return err
		}
		texts = append(texts, audit.Text{Name: file, Read: text})
	}
	found, err := audit.VerifyArchives(texts, a.service, public, known...)
	if a.database && errors.Is(err, audit.ErrOutside) {
		err = nil // the database is to hold the later ones
	}
	if err != nil || !a.database {
		return errors.Join(err, a.reportArchives(cmd, o, found.Report, err))
	}
	report, err := a.behind(cmd.Context(), found, public, known)
	return errors.Join(err, a.reportArchives(cmd, o, report, err))
}

func (a *auditCheck) reportArchives(cmd *cobra.Command, o *operator, r audit.Report, err error) error {
	if err != nil {
		return nil // it is told by its sentence
	}
	return printReport(cmd, o, r)
}

func (a *auditCheck) open(file string, in io.Reader) (io.Reader, error) {
	if !strings.HasSuffix(file, ".age") {
		return in, nil
	}
	who, err := readIdentities(a.identity)
	if err != nil {
		return nil, err
	}
	text, err := age.Decrypt(in, who...)
	if err != nil {
		return nil, fmt.Errorf("%s does not open with this key", file)
	}
	return text, nil
}

// behind verifies a service's database behind the archives of its trail.
func (a *auditCheck) behind(ctx context.Context, found audit.Archived, public ed25519.PublicKey, known []audit.Checkpoint) (report audit.Report, err error) {
	db, err := openTrail(ctx, a.service, a.data)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	from, err := audit.StoredFrom(ctx, db.Read(ctx))
	if err != nil {
		return report, err
	}
	if from.Seq > found.Seq {
		return report, fmt.Errorf("the archives end with event %d, and the trail begins behind event %d: those between are missing", found.Seq, from.Seq)
	}
	found.End.Source = "the end of the archives"
	later := []audit.Checkpoint{found.End}
	for _, c := range known {
		if c.Seq > found.Seq {
			later = append(later, c)
		}
	}
	report, err = audit.VerifyStored(ctx, db.Read(ctx), a.service, public, later...)
	report.Checked, report.After = report.Checked+from.Seq, 0 // the archives hold what is before
	return report, err
}
