package member

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/revocation"
)

const (
	kmsSource    = "the kms"
	kmsWord      = "kms"
	relistEvery  = time.Minute // even if no change was announced
	firstRetry   = 100 * time.Millisecond
	lastRetry    = 5 * time.Second
	listPage     = 100
	maxDocuments = 33 << 20 // bytes of an answer that are read at most
)

// Credential provides the token for requests to the kms.
type Credential interface {
	Token(ctx context.Context, audience string) (string, error)
	Forget(audience string)
}

// KMS reads the members that the kms stores: at the start and whenever the feed announces a change.
type KMS struct {
	registry   *Registry
	client     *kms.Client
	credential Credential
	log        *slog.Logger
	failures   prometheus.Counter
	changed    <-chan struct{}
	first      chan struct{}
	known      map[string]said // by name
}

// said is a definition with its edition. The version alone does not identify it: after a restore of the kms's database a number may be used for another one.
type said struct {
	edition    edition
	definition Definition
}

type edition struct {
	version        int64
	digest, shadow string
	status         kms.ContractStatus
}

func editionOf(c kms.Contract) edition {
	e := edition{version: c.Version, digest: c.Digest, status: c.Status}
	if c.Shadow != nil {
		e.shadow = c.Shadow.Digest
	}
	return e
}

// NewKMS returns the source of the members that the kms stores. A value from changed triggers a read; Announce sends these values.
func NewKMS(r *Registry, c Credential, changed <-chan struct{}) (*KMS, error) {
	client, err := kms.NewClient("http://"+kmsWord+"/kms/v1", kms.WithHTTPClient(r.Client))
	if err != nil {
		return nil, fmt.Errorf("address of the kms: %w", err)
	}
	k := &KMS{registry: r, client: client, credential: c, log: r.Log, changed: changed, first: make(chan struct{}), known: map[string]said{}}
	k.failures = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "fountain_gateway_contract_reads_failed_total", Help: "Attempts to read the contracts of members from the kms that failed.",
	})
	r.Registerer.MustRegister(k.failures)
	return k, nil
}

// Announce returns a function, to be used as revocation.Config.Apply, that sends a value when the feed announces a changed contract.
func Announce(to chan<- struct{}) func(context.Context, revocation.Entry) error {
	return func(_ context.Context, e revocation.Entry) error {
		if e.Kind == revocation.Contract {
			select {
			case to <- struct{}{}:
			default: // a read is already pending
			}
		}
		return nil
	}
}

// Ready returns an error, in public words, until the members were read for the first time.
func (k *KMS) Ready() error {
	select {
	case <-k.first:
		return nil
	default:
		return errors.New("it has not read the contracts of the adopted services yet")
	}
}

// Heard returns a channel that is closed when the members were read for the first time.
func (k *KMS) Heard() <-chan struct{} { return k.first }

// Run reads the members until ctx ends.
func (k *KMS) Run(ctx context.Context) error {
	pause, failing, heard := firstRetry, false, false
	for ctx.Err() == nil {
		err := k.read(ctx)
		wait := relistEvery
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			k.failures.Inc()
			if wait = pause; pause == lastRetry && !failing {
				failing = true
				k.log.WarnContext(ctx, "contracts of members can't be read", "error", err)
			}
			pause = min(2*pause, lastRetry)
		default:
			if failing {
				k.log.InfoContext(ctx, "contracts of members are read again")
			}
			if !heard {
				close(k.first)
			}
			pause, failing, heard = firstRetry, false, true
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-k.changed:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return nil
}

// read lists the contracts, reads those that have changed, and updates the members. A contract that the registry refuses is reported by the registry, and is
// no reason to read again.
func (k *KMS) read(ctx context.Context) error {
	listed, err := k.list(ctx)
	if err != nil {
		return fmt.Errorf("list contracts: %w", err)
	}
	next := make(map[string]said, len(listed))
	var definitions []Definition
	var failed error
	for _, c := range listed {
		one, known := k.known[c.Name]
		if !known || one.edition != editionOf(c) {
			read, err := k.get(ctx, c.Name)
			switch {
			case errors.Is(err, errRetired):
				continue
			case err != nil:
				failed = errors.Join(failed, fmt.Errorf("read contract of %s: %w", c.Name, err))
				if !known {
					continue
				}
			default:
				one = read
			}
		}
		next[c.Name] = one
		definitions = append(definitions, one.definition)
	}
	k.known = next
	_ = k.registry.Replace(kmsSource, definitions) // the registry reports refused definitions itself
	return failed
}

func (k *KMS) list(ctx context.Context) ([]kms.Contract, error) {
	var all []kms.Contract
	limit := common.Limit(listPage)
	params := kms.ListContractsParams{Limit: &limit}
	for {
		var page kms.ContractList
		if err := k.ask(ctx, &page, func(as kms.RequestEditorFn) (*http.Response, error) { return k.client.ListContracts(ctx, &params, as) }); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.NextCursor == nil || *page.NextCursor == "" {
			return all, nil
		}
		params.Cursor = page.NextCursor
	}
}

func (k *KMS) get(ctx context.Context, name string) (said, error) {
	var c kms.ContractWithFiles
	err := k.ask(ctx, &c, func(as kms.RequestEditorFn) (*http.Response, error) {
		return k.client.GetServiceContract(ctx, name, &kms.GetServiceContractParams{}, as)
	})
	if err != nil {
		return said{}, err
	}
	d := Definition{
		Name: c.Contract.Name, File: c.Document.File, Files: texts(c.Document.Files), Upstreams: c.Contract.Upstreams, Public: c.Contract.Public,
		ActiveContent: c.Contract.ActiveContent, Disabled: c.Contract.Status != kms.ContractStatusActive,
		Revision: c.Contract.Version, Compared: true,
	}
	if c.Shadow != nil && c.Contract.Shadow != nil {
		d.Shadow = &Text{File: c.Shadow.File, Files: texts(c.Shadow.Files), Public: c.Contract.Shadow.Public}
	}
	return said{editionOf(c.Contract), d}, nil
}

func texts(files []kms.ContractFile) map[string][]byte {
	out := make(map[string][]byte, len(files))
	for _, f := range files {
		out[f.Name] = []byte(f.Text)
	}
	return out
}

// errRetired says that a contract was retired after it had been listed.
var errRetired = errors.New("the contract is retired")

// ask calls the kms and decodes its answer.
func (k *KMS) ask(ctx context.Context, into any, call func(kms.RequestEditorFn) (*http.Response, error)) error {
	token, err := k.credential.Token(ctx, kmsWord)
	if err != nil {
		return fmt.Errorf("own token: %w", err)
	}
	res, err := call(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+token)
		return nil
	})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return errRetired
	case http.StatusUnauthorized, http.StatusForbidden: // a token from before an upgrade may lack the scope
		k.credential.Forget(kmsWord)
		fallthrough
	default:
		return fmt.Errorf("the kms answered %d", res.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxDocuments)).Decode(into); err != nil {
		return errors.New("the kms's answer can't be read")
	}
	return nil
}
