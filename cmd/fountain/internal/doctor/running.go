package doctor

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// maxAnswer limits the response that is read, in bytes.
const maxAnswer = 1 << 20

// answer is the response of a running service.
type answer struct {
	status int
	date   time.Time
	tls    *tls.ConnectionState
	body   struct {
		Version        string `json:"version"`
		ContractDigest string `json:"contractDigest"`
		Detail         string `json:"detail"`
		Items          []struct {
			Name          string `json:"name"`
			Status        string `json:"status"`
			Targets       int    `json:"targets"`
			TargetsReady  int    `json:"targetsReady"`
			TargetsSkewed int    `json:"targetsSkewed"`
			Adopted       bool   `json:"adopted"`
		} `json:"items"`
	}
}

func (d *Doctor) ask(ctx context.Context, url string) (a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return a, fmt.Errorf("ask %s: %w", url, err)
	}
	resp, err := d.Client.Do(req)
	if err != nil {
		return a, fmt.Errorf("ask %s: %w", url, err)
	}
	defer resp.Body.Close()
	a.status, a.tls = resp.StatusCode, resp.TLS
	a.date, _ = http.ParseTime(resp.Header.Get("Date")) // zero if there is none
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return a, fmt.Errorf("read answer of %s: %w", url, err)
	}
	_ = json.Unmarshal(text, &a.body) // a body that is not JSON is ignored
	return a, nil
}

// running checks a service that should be running here.
func (d *Doctor) running(ctx context.Context, p Place) {
	base := p.URL + "/" + p.Word + "/v1/"
	alive, err := d.ask(ctx, base+"health")
	if err != nil {
		d.reportNoAnswer(p, err)
		return
	}
	if alive.status != http.StatusOK && d.Outside {
		d.wrong(Running, fmt.Sprintf("%s answers %d at %s", p.Word, alive.status, p.URL), "check that the gateway of the family runs, and run fountain doctor on the machine of the services")
		return
	}
	if alive.status != http.StatusOK {
		d.warn(Running, fmt.Sprintf("%s answers %d at %s", p.Word, alive.status, p.URL), "see what runs there; --url names where the family answers")
		return
	}
	d.clock(alive)
	if alive.tls != nil && len(alive.tls.PeerCertificates) > 0 && p.Service.TLS.CertFile == "" && (!d.Outside || p.Word == "gateway") {
		d.life(alive.tls.PeerCertificates[0], p.URL)
	}
	if alive.body.Version != d.Version {
		d.warn(Version, "version "+short(alive.body.Version)+" runs, and this program is "+d.Version, "use the binary of the running release; if an upgrade is in progress, complete it")
	}
	ready, err := d.ask(ctx, base+"ready")
	switch {
	case err != nil:
		d.reportNoAnswer(p, err)
		return
	case ready.status != http.StatusOK:
		d.wrong(Running, p.Word+" runs and is not ready: "+short(ready.body.Detail), remedy(ready.body.Detail))
		return
	}
	d.ok(Running, p.Word+" is ready at "+p.URL)
	if mine := d.Digest(p.Word); ready.body.ContractDigest != "" && ready.body.ContractDigest != mine {
		d.warn(Contract, p.Word+" keeps another text of its contract than this program", "bring services, gateway and this program to one release: the services first, then the gateway")
	}
	if p.Word == "gateway" {
		d.behind(ctx, p)
	}
}

// behind asks the gateway about the services behind it.
func (d *Doctor) behind(ctx context.Context, p Place) {
	list, err := d.ask(ctx, p.URL+"/gateway/v1/services")
	if err != nil || list.status != http.StatusOK {
		d.warn(Running, "the gateway does not list its services", "look at its log")
		return
	}
	for _, s := range list.body.Items {
		name := short(s.Name)
		switch {
		case s.Status != "ready" && s.Adopted:
			d.warn(Running, "the adopted service "+name+" is "+short(s.Status), "look at that service, and at the gateway's log")
		case s.Status != "ready":
			d.wrong(Running, "the gateway finds "+name+" "+short(s.Status), "run fountain doctor on the machine of "+name)
		case s.TargetsReady < s.Targets:
			d.warn(Running, fmt.Sprintf("%d of %d targets of %s are ready", s.TargetsReady, s.Targets, name), "run fountain doctor on the machines of the others")
		}
		if s.TargetsSkewed > 0 {
			d.warn(Contract, fmt.Sprintf("%d targets of %s keep another text of its contract than the gateway checks", s.TargetsSkewed, name), "end the upgrade: the services first, then the gateway")
		}
	}
}

// reportNoAnswer distinguishes a service that is not running from one that does not respond correctly.
func (d *Doctor) reportNoAnswer(p Place, err error) {
	var verification *tls.CertificateVerificationError
	switch {
	case errors.As(err, &verification):
		d.wrong(Certificate, "the certificate at "+p.URL+" is not trusted: it is of another name or authority, or has expired", "trust its authority with --ca-file (docs/operations.md, Caddy's root), or renew it")
	case errors.Is(err, context.DeadlineExceeded):
		d.wrong(Running, p.Word+" does not answer at "+p.URL+" within "+answerWithin.String(), "look at its log, and at what the machine does")
	case d.Outside:
		d.wrong(Running, p.Word+" does not answer at "+p.URL, "check that the name leads there, and run fountain doctor on the machine of the services")
	default:
		d.warn(Running, p.Word+" does not run at "+p.URL, "start it, or name where it answers with --url")
	}
}

// clock compares this machine's clock with the Date of a response.
func (d *Doctor) clock(a answer) {
	if a.date.IsZero() {
		return
	}
	if off := d.Clock.Now().Sub(a.date); off > maxClockSkew || off < -maxClockSkew {
		d.wrong(Clock, fmt.Sprintf("this machine's clock is %d s off that of the service", int(off.Seconds())), "set both by NTP; docs/operations.md, After the clock was wrong")
		return
	}
	d.ok(Clock, "the clock agrees with the service's")
}

// remedies maps parts of a readiness detail to what to do. The first match counts.
var remedies = []struct{ words, do string }{
	{"enrolment", "check that the kms is ready; it writes a new token within a minute. On another machine: fountain recover enrolment-token SERVICE"},
	{"revocation feed", "check that the kms is ready and reached at KMS_URL"},
	{"clock", "set the clock by NTP; docs/operations.md, After the clock was wrong"},
	{"removed or replaced", "restore the file or a backup, then start the service again"},
	{"damaged", restoreAdvice},
	{"disk", "free some room; the service goes on by itself"},
	{"search engine", "start the engine; writes continue meanwhile, and search catches up"},
	{"database", "check that its database server runs and is reached"},
}

// remedy says what to do about the detail that readiness gives.
func remedy(detail string) string {
	for _, r := range remedies {
		if strings.Contains(detail, r.words) {
			return r.do
		}
	}
	return "its log has the cause: \"service is not ready\""
}

// short makes untrusted text safe to show: it removes control characters and limits the length.
func short(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, text)
	if len(text) > 200 {
		text = text[:200]
	}
	return strings.ToValidUTF8(text, "")
}
