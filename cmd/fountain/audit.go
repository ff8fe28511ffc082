package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/store"
)

var (
	auditHead      = []string{"NUMBER", "AT", "ACTION", "ACTOR", "TARGET", "OUTCOME", "ADDRESS", "DETAIL"}
	reportHead     = []string{"INTACT", "CHECKED", "WITHOUT KEY", "FIRST BREAK", "REASON"}
	checkpointHead = []string{"SERVICE", "NUMBER", "AT", "KEY", "PUBLIC KEY"}
)

// newAudit reads and verifies the audit trails.
func newAudit() *cobra.Command {
	o := &operator{}
	return group("audit", "List, verify, export and archive audit events", newAuditList(o), newAuditVerify(o), newAuditExport(o), newAuditArchive(o),
		o.command("checkpoint", "Get a signed checkpoint of the audit trail of the kms, to store on another machine",
			"  fountain audit checkpoint --output json > audit-2026-11-29.json\n  fountain audit checkpoint", noArgs,
			func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
				made, err := c.KMS.GetAuditCheckpoint(cmd.Context())
				if err != nil {
					return err
				}
				return o.print(cmd, made, checkpointHead, [][]string{{
					made.Service, strconv.FormatInt(made.Seq, 10), when(made.At), made.KeyID, base64.StdEncoding.EncodeToString(made.PublicKey),
				}})
			}))
}

func eventRow(e kms.AuditEvent) []string {
	var detail []string
	if e.Detail != nil {
		for name, value := range *e.Detail {
			detail = append(detail, name+"="+value)
		}
	}
	slices.Sort(detail)
	address := ""
	if e.Address != nil {
		address = *e.Address
	}
	return []string{strconv.FormatInt(e.Seq, 10), when(e.At), e.Action, e.Actor, e.Target, string(e.Outcome), address, strings.Join(detail, " ")}
}

func newAuditList(o *operator) *cobra.Command {
	var action, actor, target, outcome string
	var last time.Duration
	var most int
	cmd := o.command("list", "List audit events of the kms, newest first", "  fountain audit list --action getSecret --last 24h\n  fountain audit list --outcome denied --most 200 --output json", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			params := kms.ListAuditEventsParams{Action: optional(action), Actor: optional(actor), Target: optional(target)}
			if outcome != "" {
				params.Outcome = new(kms.AuditOutcome(outcome))
				if !params.Outcome.Valid() {
					return usagef("--outcome must be ok, denied or failed")
				}
			}
			if last > 0 {
				params.From = new(time.Now().Add(-last).UTC().Truncate(time.Microsecond))
			}
			events, rows := []kms.AuditEvent{}, [][]string{}
			for e, err := range c.KMS.AuditEvents(cmd.Context(), params) {
				if err != nil {
					return err
				}
				events, rows = append(events, e), append(rows, eventRow(e))
				if len(events) >= most {
					break
				}
			}
			return o.print(cmd, events, auditHead, rows)
		})
	cmd.Flags().StringVar(&action, "action", "", "only events of this operation")
	cmd.Flags().StringVar(&actor, "actor", "", "only events whose actor has this id")
	cmd.Flags().StringVar(&target, "target", "", "only events whose target has this id or name")
	cmd.Flags().StringVar(&outcome, "outcome", "", "only events with this outcome: ok, denied or failed")
	cmd.Flags().DurationVar(&last, "last", 0, "only events of this most recent period, for example 24h; default: all")
	cmd.Flags().IntVar(&most, "most", 50, "maximum number of events")
	return cmd
}

func newAuditExport(o *operator) *cobra.Command {
	var after int64
	var file string
	cmd := o.command("export", "Export the audit trail of the kms as NDJSON, with a signed checkpoint at its end", "  fountain audit export --file audit.ndjson\n  fountain audit export --after 120000 --file more.ndjson", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			if file == "" {
				_, err := c.KMS.WriteAudit(cmd.Context(), cmd.OutOrStdout(), after)
				return err
			}
			out, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if err != nil {
				return fmt.Errorf("write export: %w", err)
			}
			n, err := c.KMS.WriteAudit(cmd.Context(), out, after)
			if err := errors.Join(err, out.Sync(), out.Close()); err != nil {
				return err
			}
			return o.done(cmd, fmt.Sprintf("wrote %d events to %s", n, file))
		})
	cmd.Flags().Int64Var(&after, "after", 0, "only events after this number")
	cmd.Flags().StringVar(&file, "file", "", "write to this file, which must not exist; default: standard output")
	return cmd
}

// auditCheck is what a verification is told.
type auditCheck struct {
	file, service, data, public string
	archives, identity          string
	checkpoints                 []string
	after, database             bool
}

func newAuditVerify(o *operator) *cobra.Command {
	var check auditCheck
	cmd := o.command("verify", "Verify an audit trail: of the kms, in an export, in archives, or in a service's database",
		`  fountain audit verify --checkpoint audit-2026-11-29.json
  fountain audit verify --file audit.ndjson --public-key KEY --checkpoint audit-2026-11-29.json
  fountain audit verify --service sequence --data ./data --public-key KEY
  fountain audit verify --archives /archives --identity archive.key --public-key KEY --file audit.ndjson`, noArgs, nil)
	online := o.command("verify", "", "", noArgs, func(cmd *cobra.Command, c *fountain.Client, _ []string) error { return check.online(cmd, o, c) }).RunE
	cmd.Long = `verify asks the kms to verify its audit trail with its key. With --file or --service it needs no kms and no
secret: it verifies the hashes of an export, or of a service's own database (on SQLite while the service
runs), against checkpoints that are signed with the public key. Take the public key and the checkpoints from
where you stored them; the log of the service has a checkpoint for every minute in which events were recorded.
The exit status is 1 if the trail is not valid.

With --archives it verifies all archives that "fountain audit archive" has written to a directory, from the
first event on, and, with --file or --database, the events that the trail still has after them.`
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if check.file == "" && check.archives == "" && !check.database && !cmd.Flags().Changed("service") {
			return online(cmd, args)
		}
		if o.output != "table" && o.output != "json" {
			return usagef("--output must be table or json")
		}
		return check.offline(cmd, o)
	}
	cmd.Flags().StringVar(&check.file, "file", "", "verify the export in this file")
	cmd.Flags().StringVar(&check.archives, "archives", "", "verify the archives of a trail in this directory")
	cmd.Flags().StringVar(&check.identity, "identity", "", "file with the age secret key that decrypts the archives")
	cmd.Flags().BoolVar(&check.database, "database", false, "verify the service's database; with --archives, after the archives")
	cmd.Flags().StringVar(&check.service, "service", "kms", "verify the database of this service: kms, twofactor, search or sequence; with --file: the service of the export")
	cmd.Flags().StringVar(&check.data, "data", env("FOUNTAIN_DATA", "./data"), "data directory of fountain up (FOUNTAIN_DATA); FOUNTAIN_<SERVICE>_... settings take precedence")
	cmd.Flags().StringVar(&check.public, "public-key", "", "public key of the checkpoints, in base64")
	cmd.Flags().StringSliceVar(&check.checkpoints, "checkpoint", nil, "file with a checkpoint that the trail must contain; may be repeated")
	cmd.Flags().BoolVar(&check.after, "after", false, "have the kms verify only the events after the checkpoint")
	return cmd
}

func (a *auditCheck) known() (known []audit.Checkpoint, err error) {
	for _, path := range a.checkpoints {
		c, err := audit.ReadCheckpoint(path)
		if err != nil {
			return nil, err
		}
		c.Source = path
		known = append(known, c)
	}
	return known, nil
}

func (a *auditCheck) online(cmd *cobra.Command, o *operator, c *fountain.Client) error {
	known, err := a.known()
	if err != nil {
		return err
	}
	if len(known) > 1 || a.after && len(known) == 0 {
		return usagef("the kms takes one --checkpoint, and --after needs it")
	}
	body := kms.AuditVerify{After: &a.after}
	for _, k := range known {
		body.Checkpoint = &kms.AuditCheckpoint{
			Service: k.Service, Seq: k.Seq, Hash: k.Hash, At: k.At, KeyID: k.KeyID, PublicKey: k.PublicKey, Signature: k.Signature,
		}
	}
	r, err := c.KMS.VerifyAudit(cmd.Context(), body)
	if err != nil {
		return err
	}
	report := audit.Report{After: r.After, Checked: r.Checked, Unkeyed: r.Unkeyed}
	if !r.Intact && r.FirstBreak != nil && r.Reason != nil {
		report.FirstBreak, report.Reason = *r.FirstBreak, string(*r.Reason)
	}
	return printReport(cmd, o, report)
}

func (a *auditCheck) offline(cmd *cobra.Command, o *operator) error {
	known, err := a.known()
	if err != nil {
		return err
	}
	public, err := base64.StdEncoding.Strict().DecodeString(a.public)
	if err != nil || len(public) != 0 && len(public) != ed25519.PublicKeySize {
		return usagef("--public-key must be an Ed25519 key in base64, of 44 characters")
	}
	if len(public) == 0 && (a.file != "" || a.archives != "" || len(known) > 0) {
		return usagef("--public-key is required: a checkpoint is only as good as the key that verifies it")
	}
	if a.archives != "" {
		return a.whole(cmd, o, public, known)
	}
	if a.file != "" {
		return a.export(cmd, o, public, known)
	}
	report, err := a.stored(cmd.Context(), public, known)
	if err != nil {
		return err
	}
	if len(known) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "without --checkpoint only the hashes are checked, which anyone who can write to the database can recompute")
	}
	return printReport(cmd, o, report)
}

func (a *auditCheck) export(cmd *cobra.Command, o *operator, public ed25519.PublicKey, known []audit.Checkpoint) error {
	in, err := os.Open(a.file)
	if err != nil {
		return fmt.Errorf("read export: %w", err)
	}
	defer in.Close()
	report, err := audit.VerifyExport(in, a.service, public, known...)
	if err != nil {
		return err
	}
	return printReport(cmd, o, report)
}

// stored verifies the chain in a service's own database.
func (a *auditCheck) stored(ctx context.Context, public ed25519.PublicKey, known []audit.Checkpoint) (report audit.Report, err error) {
	db, err := openTrail(ctx, a.service, a.data)
	if err != nil {
		return report, err
	}
	report, err = audit.VerifyStored(ctx, db.Read(ctx), a.service, public, known...)
	return report, errors.Join(err, db.Close())
}

// openTrail opens the database of a service beside it.
func openTrail(ctx context.Context, service, data string) (*store.DB, error) {
	word, err := knownWord(service)
	if err != nil {
		return nil, err
	}
	p := programs[word]()
	if p.migrate == nil {
		return nil, usagef("%s has no audit trail; kms, twofactor, search and sequence have one", word)
	}
	if err := config.Load("FOUNTAIN_"+strings.ToUpper(word)+"_", p.settings); err != nil {
		return nil, &usageError{err}
	}
	address, err := p.service.DatabaseURL()
	if err != nil {
		return nil, err
	}
	dir := p.service.DataDir
	if dir == "" {
		dir = filepath.Join(data, word)
	}
	return store.Inspect(ctx, store.Config{URL: address, Dir: dir, Name: word, Log: slog.New(slog.DiscardHandler)})
}

var errNotIntact = errors.New("the audit trail is not valid; docs/operations.md says what to do")

// printReport prints what was found; a trail that does not hold is an error.
func printReport(cmd *cobra.Command, o *operator, r audit.Report) error {
	intact, first := "yes", ""
	if !r.Intact() {
		intact, first = "no", strconv.FormatInt(r.FirstBreak, 10)
	}
	answer := map[string]any{"intact": r.Intact(), "after": r.After, "checked": r.Checked, "unkeyed": r.Unkeyed, "firstBreak": r.FirstBreak, "reason": r.Reason}
	err := o.print(cmd, answer, reportHead, [][]string{{
		intact, strconv.FormatInt(r.Checked, 10), strconv.FormatInt(r.Unkeyed, 10), first, r.Reason,
	}})
	if err == nil && !r.Intact() {
		err = errNotIntact
	}
	return err
}
