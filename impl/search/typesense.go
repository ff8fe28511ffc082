package search

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/embedded/api"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/tried"
)

// TypesenseConfig configures the embedded engine as a standalone server with Typesense's API.
type TypesenseConfig struct {
	Addr        string   // HOST:PORT
	DataDir     string   // only one process at a time may use it
	KeyFile     string   // the admin key; created if missing
	CORSOrigins []string // origins of pages that may call; "*" allows all
	// Snapshots is the directory for snapshots. The default is "snapshots" in DataDir.
	Snapshots string
	// Limits: documents in one collection, documents in all collections, and memory of the indexes in MiB. 0 means the default of
	// docs/embedded-engine.md.
	MaxCollectionDocuments, MaxDocuments, MaxMemoryMiB int
	// Analytics counts queries and events for the analytics rules. Every AnalyticsInterval the counts are written to the collections of the
	// rules.
	Analytics         bool
	AnalyticsInterval time.Duration
	Log               *slog.Logger
}

// minInterval is the minimum of AnalyticsInterval, the same as Typesense's.
const minInterval = time.Minute

// minKeyBytes is the minimum length of an admin key, in bytes.
const minKeyBytes = 16

// Validate checks the configuration. It accesses nothing outside it.
func (c *TypesenseConfig) Validate() error {
	var errs []error
	for _, required := range []struct{ name, value string }{{"--data", c.DataDir}, {"--key-file", c.KeyFile}} {
		if required.value == "" {
			errs = append(errs, fmt.Errorf("%s: is required", required.name))
		}
	}
	for _, origin := range c.CORSOrigins {
		u, err := url.Parse(origin)
		if origin != "*" && (err != nil || u.Scheme == "" || u.Host == "" || strings.Trim(u.Path, "/") != "") {
			errs = append(errs, errors.New("--cors-origins: must be origins such as https://app.example.org, or *"))
		}
	}
	for _, limit := range []struct {
		name  string
		value int
	}{{"--max-collection-documents", c.MaxCollectionDocuments}, {"--max-documents", c.MaxDocuments}, {"--max-memory-mib", c.MaxMemoryMiB}} {
		if limit.value < 0 {
			errs = append(errs, fmt.Errorf("%s: must not be negative", limit.name))
		}
	}
	if c.Analytics && c.AnalyticsInterval < minInterval {
		errs = append(errs, fmt.Errorf("--analytics-flush-interval: must be at least %d", minInterval/time.Second))
	}
	return errors.Join(errs...)
}

// snapshots returns the absolute directory of the snapshots.
func (c *TypesenseConfig) snapshots() (string, error) {
	if c.Snapshots != "" {
		return filepath.Abs(c.Snapshots)
	}
	return filepath.Abs(filepath.Join(c.DataDir, "snapshots"))
}

// Repaired reports what a repair recovered.
type Repaired = embedded.Repaired

// RepairTypesense creates a new documents file from what can be read of the damaged one in dir, the data directory of an engine that no
// process uses, and keeps the old file. Errors: ErrEngineLocked.
func RepairTypesense(dir string, log *slog.Logger) (Repaired, error) {
	done, err := embedded.Repair(dir, log)
	if err != nil {
		return done, fmt.Errorf("repair documents: %w", err)
	}
	return done, nil
}

// Checked reports how indexes compare with their documents.
type Checked = embedded.Checked

// Fault is a collection whose index does not match its documents.
type Fault = embedded.Fault

// CheckTypesense compares every document in dir, the data directory of an engine that no process uses, with the index of its collection. It
// opens the engine as a start does: an index that lags is brought up to date, and a missing or damaged one is rebuilt, which is logged to
// log. Errors: ErrEngineLocked, ErrEngineDamaged.
func CheckTypesense(ctx context.Context, dir string, log *slog.Logger) (done Checked, err error) {
	if _, err := os.Stat(dir); err != nil { // opening would create it
		return done, fmt.Errorf("check the index: %w", err)
	}
	engine, err := embedded.Open(embedded.Config{Dir: dir, Log: log})
	if err != nil {
		return done, err
	}
	done, err = engine.Check(ctx)
	return done, errors.Join(err, engine.Close())
}

// ServeTypesense serves until ctx ends, and then drains. ready is called with the address once collections can be searched.
func ServeTypesense(ctx context.Context, c TypesenseConfig, ready func(addr string)) (err error) {
	digest, err := adminKey(c.KeyFile)
	if err != nil {
		return err
	}
	snapshots, err := c.snapshots()
	if err != nil {
		return err
	}
	engine, err := embedded.Open(embedded.Config{Dir: c.DataDir, Log: c.Log, Limits: embedded.Limits{
		DocumentsPerCollection: c.MaxCollectionDocuments, Documents: c.MaxDocuments, MemoryBytes: int64(c.MaxMemoryMiB) << 20,
	}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	listener, err := httpserver.Listen(ctx, c.Addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", c.Addr, err)
	}
	handler := api.New(engine, api.Options{CORSOrigins: c.CORSOrigins, Snapshots: snapshots, Analytics: c.Analytics, Key: func(presented string) bool {
		given := sha256.Sum256([]byte(presented))
		return subtle.ConstantTimeCompare(given[:], digest[:]) == 1
	}})
	defer countQueries(ctx, handler, c.AnalyticsInterval)()
	loaded := make(chan error, 1)
	go func() {
		err := engine.WaitReady(ctx)
		if err == nil {
			ready(listener.Addr().String())
		}
		loaded <- err
	}()
	err = httpserver.Serve(ctx, listener, handler, httpserver.ServeOptions{
		Log: c.Log, Draining: func() {}, Announced: func() bool { return false }, Grace: drainGrace,
	})
	if loadErr := <-loaded; ctx.Err() == nil {
		err = errors.Join(err, loadErr)
	}
	return err
}

// countQueries writes the counts to their collections periodically until end is called. end writes them once more. The work does not stop
// when ctx ends, because requests are still being answered then, and count.
func countQueries(ctx context.Context, handler *api.Handler, interval time.Duration) (end func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		handler.CountQueries(ctx, interval)
	}()
	return func() {
		cancel()
		<-done
	}
}

// drainGrace is how long requests under way may take when the server ends.
const drainGrace = 20 * time.Second

// adminKey returns the digest of the key in the file. If the file does not exist, it is created with a random key and mode 0600.
func adminKey(path string) (digest [sha256.Size]byte, err error) {
	defer tried.To(&err, "read the admin key")
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		body, err = makeKey(path)
	}
	if err != nil {
		return digest, err
	}
	key := strings.TrimSpace(string(body))
	if len(key) < minKeyBytes {
		return digest, fmt.Errorf("%s: must hold a key of at least %d bytes", path, minKeyBytes)
	}
	return sha256.Sum256([]byte(key)), nil
}

func makeKey(path string) (key []byte, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	raw := make([]byte, 32)
	rand.Read(raw) // never fails: crypto/rand ends the program instead
	key = append(base64.RawURLEncoding.AppendEncode(nil, raw), '\n')
	_, err = file.Write(key)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(path)) // half a key would otherwise be used for ever
	}
	return key, nil
}

// ErrEngineLocked reports that another process uses the data directory.
var ErrEngineLocked = embedded.ErrLocked

// ErrEngineDamaged reports that the documents are damaged. RepairTypesense recovers what can be read.
var ErrEngineDamaged = embedded.ErrDamaged
