package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/cmd/fountain/internal/doctor"
	"github.com/fountainai/fountain/impl/family"
	"github.com/fountainai/fountain/impl/kms"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/upkeep"
	"github.com/fountainai/fountain/openapi"
)

// exitWarned is the exit status if the doctor found nothing worse than warnings.
const exitWarned = 3

// doctorCall holds the flags of doctor.
type doctorCall struct {
	data, url, caFile string
	given, named      bool // --data was set, --url was set
	asJSON, quick     bool
	keep              bool
	kms               string // data directory of the kms, if one was checked
}

func newDoctor() *cobra.Command {
	var e doctorCall
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check keys, files, databases, disks, clocks and certificates of a family, and recommend actions",
		Long: `doctor checks the services that the environment configures (FOUNTAIN_<SERVICE>_...), as in a container or a
unit of a single service, and otherwise the data directory of fountain up. On the services' machine it checks
settings, modes and owners of files, the root key and the services' own keys, free disk space, every database
and its audit trail, certificates, and the last backup and restore; it also asks the running services whether
they are ready, for their release, and for differences of clock and contract.

If there is neither, it checks the family at --url or FOUNTAIN_URL from outside: whether each service is
ready, its release, how its contract and clock differ from those of this program and this machine, and when
the certificate of the gateway's address expires. This needs no credential, and covers no files, databases,
keys or backups: run it on the services' machine to check those.

It changes nothing and shows no secret. For each finding it recommends an action. With --keep it stores its
report in the data directory of the kms, where administrators can read it in the console and with doctor
report.

Exit status: 0 no findings; 1 errors were found, or doctor could not check; 2 wrong usage; 3 only warnings.`,
		Example: `  fountain doctor
  fountain doctor --data /var/lib/fountain --json
  fountain doctor --quick --keep
  fountain doctor --url https://fountain.example.org
  docker compose exec kms /fountain doctor`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e.given = cmd.Flags().Changed("data")
			return e.run(cmd)
		},
	}
	cmd.Flags().StringVar(&e.data, "data", dataFlag(), "data directory of fountain up (FOUNTAIN_DATA); if given, the environment of separate services is ignored")
	cmd.Flags().StringVar(&e.url, "url", "", "address of the gateway, to check it and its certificate as a client (FOUNTAIN_URL); default: the address that is configured on this machine")
	cmd.Flags().StringVar(&e.caFile, "ca-file", "", "trust only the CA certificates in this PEM file for --url (FOUNTAIN_CA_FILE)")
	cmd.Flags().BoolVar(&e.quick, "quick", false, "skip the checks that read a whole database: its pages and its audit trail")
	cmd.Flags().BoolVar(&e.asJSON, "json", false, "print the findings as JSON")
	cmd.Flags().BoolVar(&e.keep, "keep", false, "store the report in the data directory of the kms, for the console and doctor report")
	cmd.AddCommand(newDoctorReport())
	return cmd
}

func (e *doctorCall) run(cmd *cobra.Command) error {
	e.named = e.url != ""
	if e.url = cmp.Or(e.url, os.Getenv("FOUNTAIN_URL")); e.url != "" {
		e.caFile = cmp.Or(e.caFile, os.Getenv("FOUNTAIN_CA_FILE"))
	}
	client, err := e.client()
	if err != nil {
		return err
	}
	d := &doctor.Doctor{
		Clock: clock.System, Version: version, Digest: openapi.Digest, Free: store.Free, Client: client, Quick: e.quick,
		Facts: func(facts map[string]string) doctor.Said {
			return doctor.Said{Roots: strings.Fields(facts[kms.FactRoot]), Issuer: facts[kms.FactIssuer]}
		},
	}
	words := servedWords(os.Environ())
	switch {
	case !e.given && len(words) > 0:
		e.single(cmd.Context(), d, words)
	case !e.given && e.url != "" && !exists(filepath.Join(e.data, "kms")):
		e.outside(cmd.Context(), d)
	default:
		err = e.house(cmd.Context(), d)
	}
	if err != nil {
		return err
	}
	d.Together()
	told := e.tell(cmd.OutOrStdout(), d.Report())
	if err := e.kept(d.Report()); err != nil {
		return err
	}
	return told
}

// kept stores the report where the kms can return it.
func (e *doctorCall) kept(r doctor.Report) error {
	if !e.keep {
		return nil
	}
	if e.kms == "" {
		return usagef("--keep keeps the report in the data directory of the kms; no kms is configured here")
	}
	kept := upkeep.Diagnosis{At: clock.System.Now(), Version: version, Quick: e.quick, Worst: string(r.Worst()), Findings: []upkeep.Finding{}}
	for _, f := range r {
		kept.Findings = append(kept.Findings, upkeep.Finding{Service: f.Service, Check: f.Check, Level: string(f.Level), What: f.What, Do: f.Do})
	}
	return upkeep.KeepDiagnosis(e.kms, kept)
}

// client returns the HTTP client for the checks. It asks services on this machine, whose certificates are for their
// public names. It sends them no secret, and their responses (status, release, contract, time) are only shown. With
// --url it verifies certificates as every client does.
func (e *doctorCall) client() (*http.Client, error) {
	if e.url == "" {
		if e.caFile != "" {
			return nil, usagef("--ca-file is for --url or FOUNTAIN_URL")
		}
		return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}, nil
	}
	if at, err := url.Parse(e.url); err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" || at.User != nil || at.RawQuery != "" || at.Fragment != "" {
		return nil, usagef("--url (FOUNTAIN_URL) must be an http or https URL without a user, query or fragment: it is shown in the findings") // which must not be shown here either
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if e.caFile != "" {
		pem, err := os.ReadFile(e.caFile)
		if err != nil {
			return nil, fmt.Errorf("read certificate authorities: %w", err)
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s contains no certificate", e.caFile)
		}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: trust}}, nil
}

// servedWords returns the services that the environment configures as processes of their own: those with an issuer, a
// data directory or a database of their own, which fountain up does not configure.
func servedWords(environ []string) (words []string) {
	for _, word := range openapi.Words() {
		prefix := "FOUNTAIN_" + strings.ToUpper(word) + "_"
		if slices.ContainsFunc(environ, func(entry string) bool {
			return slices.ContainsFunc([]string{"DATA_DIR=", "ISSUER=", "DATABASE_URL_FILE="}, func(name string) bool { return strings.HasPrefix(entry, prefix+name) })
		}) {
			words = append(words, word)
		}
	}
	return words
}

// outside checks a remote installation through its gateway, without special access.
func (e *doctorCall) outside(ctx context.Context, d *doctor.Doctor) {
	d.Outside = true
	for _, word := range openapi.Words() {
		d.Examine(ctx, doctor.Place{Word: word, URL: strings.TrimRight(e.url, "/")})
	}
}

// single checks the services of serve that the environment configures.
func (e *doctorCall) single(ctx context.Context, d *doctor.Doctor, words []string) {
	for _, word := range words {
		p, err := loadProgram(word)
		if err != nil {
			d.Add(doctor.Finding{Service: word, Check: doctor.Settings, Level: doctor.Error, What: sentence(err), Do: "correct the settings; fountain serve " + word + " --validate reports the same"})
			continue
		}
		at := doctor.Place{Word: word, Service: *p.service, Issuer: p.service.Issuer, URL: strings.TrimRight(e.url, "/")}
		if e.url == "" {
			at.URL, _ = localURL(word) // the settings were checked before
		}
		e.examine(ctx, d, p, at)
	}
}

// house checks the data directory of fountain up.
func (e *doctorCall) house(ctx context.Context, d *doctor.Doctor) error {
	if _, err := os.Stat(filepath.Join(e.data, "kms")); err != nil {
		return fmt.Errorf("there is no family in %s: name its data directory with --data, run doctor in the environment of fountain serve, or name a family elsewhere with --url", e.data)
	}
	issuer := os.Getenv("FOUNTAIN_ISSUER")
	if kept, err := os.ReadFile(filepath.Join(e.data, "issuer")); err == nil && issuer == "" {
		issuer = strings.TrimSpace(string(kept))
	}
	running, err := family.Locked(filepath.Clean(e.data))
	if err != nil {
		d.Add(doctor.Finding{Check: doctor.Running, Level: doctor.Warning, What: "could not check whether fountain up runs on " + e.data, Do: "run this command as its user"})
	}
	base, baseErr := e.door(running)
	if baseErr != nil {
		return baseErr
	}
	if !running && err == nil && e.url == "" {
		d.Add(doctor.Finding{Check: doctor.Running, Level: doctor.OK, What: "fountain up does not run on " + e.data + "; running services are not queried"})
		base = ""
	}
	for _, word := range openapi.Words() {
		p := programs[word]()
		c := p.service
		c.DataDir, c.Log = filepath.Join(e.data, word), slog.New(slog.DiscardHandler)
		at := doctor.Place{Word: word, Service: *c, Issuer: issuer, URL: base}
		if p.rootKey != nil {
			*p.rootKey = filepath.Join(c.DataDir, "root.key")
		}
		if word == "search" { // the only service setting that changes what is stored is whether the documents are here
			if err := config.LoadFrom(searchPrefix, p.settings, settingsOf(searchPrefix, "ENGINE_")); err != nil {
				d.Add(doctor.Finding{Service: word, Check: doctor.Settings, Level: doctor.Error, What: sentence(err), Do: "correct the settings; fountain up reports the same"})
			}
		}
		e.examine(ctx, d, p, at)
	}
	return nil
}

// door returns the address of the gateway of the services in the data directory. It is --url if given, or FOUNTAIN_URL
// if that is not a port of this machine, such as a front end with a certificate. Otherwise it is the address that the
// running services have recorded.
func (e *doctorCall) door(running bool) (string, error) {
	at, err := url.Parse(e.url) // client has already checked it
	if err != nil {
		return "", fmt.Errorf("read the address of the family: %w", err)
	}
	if running && !e.named && (e.url == "" || loopback(at.Hostname())) {
		if told, err := family.Address(filepath.Clean(e.data)); err == nil && told != "" {
			return told, nil
		}
	}
	if e.url != "" {
		return strings.TrimRight(e.url, "/"), nil
	}
	local, err := reachedAt(env("FOUNTAIN_ADDR", "127.0.0.1:8002"))
	if err != nil {
		return "", fmt.Errorf("FOUNTAIN_ADDR: %w", err)
	}
	return "http://" + local, nil
}

// examine has the doctor check one service.
func (e *doctorCall) examine(ctx context.Context, d *doctor.Doctor, p *program, at doctor.Place) {
	if p.word == "kms" {
		e.kms = at.Service.DataDir
	}
	if p.rootKey != nil {
		at.RootKey = *p.rootKey
	}
	if p.parts != nil {
		parts, err := p.parts()
		if err != nil {
			d.Add(doctor.Finding{Service: p.word, Check: doctor.Settings, Level: doctor.Error, What: sentence(err), Do: "correct DATABASE_URL_FILE, and who may read that file"})
		}
		at.Parts = parts
	}
	if at.Word == "gateway" && !exists(at.Service.DataDir) {
		at.Service.DataDir = "" // fountain up creates one at its first start; nothing there can be lost
	}
	d.Examine(ctx, at)
}

// tell prints the findings and returns the exit status as an error.
func (e *doctorCall) tell(out io.Writer, r doctor.Report) error {
	var err error
	if e.asJSON {
		err = printJSON(out, map[string]any{"worst": r.Worst(), "version": version, "findings": r})
	} else {
		err = printFindings(out, r)
	}
	switch {
	case err != nil:
		return err
	case r.Worst() == doctor.Error:
		return exitStatus(exitFailed)
	case r.Worst() == doctor.Warning:
		return exitStatus(exitWarned)
	}
	return nil
}

func printFindings(out io.Writer, r doctor.Report) error {
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for _, f := range r {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", strings.ToUpper(string(f.Level)), serviceOr(f.Service), f.Check, f.What)
		if f.Do != "" {
			fmt.Fprintf(table, "\t\t\t-> %s\n", f.Do)
		}
	}
	err := table.Flush()
	summary := map[doctor.Level]string{doctor.OK: "nothing is wrong", doctor.Warning: "there are warnings", doctor.Error: "something is wrong"}[r.Worst()]
	_, last := fmt.Fprintln(out, summary)
	return errors.Join(err, last)
}

// serviceOr returns the service, or a dash for all of them.
func serviceOr(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
