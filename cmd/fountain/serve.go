package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/internal/backup"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/lifecycle"
	"github.com/fountainai/fountain/internal/runner"
	"github.com/fountainai/fountain/internal/telemetry"
)

// Admin is the setting of a service that runs as its own process.
type Admin struct {
	AdminAddr string `env:"ADMIN_ADDR"` // HOST:PORT of metrics and pprof; default: 127.0.0.1 and the service's port plus 1000
}

// program is one service as `serve` runs it.
type program struct {
	word     string
	settings any             // pointer to the struct that the environment fills
	service  *config.Service // its common settings
	admin    *Admin
	traces   config.Traces
	redis    *config.Redis // for shared limits; nil: not used
	validate func() error
	run      func(context.Context) error
	migrate  func(context.Context) error   // nil: no database
	abandon  func(context.Context) error   // deletes its data key; nil: no data key. Only service must be set.
	parts    func() ([]backup.Part, error) // its databases; nil: no database
	rootKey  *string                       // file of the root key; nil: no root key
}

func newServe() *cobra.Command {
	var validateOnly bool
	cmd := &cobra.Command{
		Use:     "serve SERVICE",
		Example: "  fountain serve kms --validate\n  FOUNTAIN_KMS_DATA_DIR=/srv/kms fountain serve kms",
		Short:   "Run one service, configured by environment variables",
		Long: `serve runs kms, twofactor, search, sequence or gateway as a separate process, configured by
FOUNTAIN_<SERVICE>_... (docs/operations.md lists the settings; secrets are given only as files). --validate
checks the settings, reports all errors at once, and starts nothing.`,
		Args: oneArg("a service"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := loadProgram(args[0])
			if err != nil {
				return err
			}
			if validateOnly {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "the settings of %s are good\n", p.word)
				return err
			}
			return p.serve(cmd.Context(), func(addr string) {
				fmt.Fprintf(cmd.OutOrStdout(), "ready %s\n", addr)
			})
		},
	}
	cmd.Flags().BoolVar(&validateOnly, "validate", false, "only check the settings, and start nothing")
	cmd.AddCommand(newServeTypesense())
	return cmd
}

// loadProgram loads and checks the settings of a service.
func loadProgram(word string) (*program, error) {
	word, err := knownWord(word)
	if err != nil {
		return nil, err
	}
	p := programs[word]()
	prefix := "FOUNTAIN_" + strings.ToUpper(word) + "_"
	if err := config.Load(prefix, p.settings); err != nil {
		return nil, &usageError{err}
	}
	if p.redis != nil {
		if err := config.Load(config.RedisPrefix, p.redis); err != nil {
			return nil, &usageError{err}
		}
	}
	if err := p.validate(); err != nil {
		return nil, &usageError{fmt.Errorf("settings of %s (%s...): %w", word, prefix, err)}
	}
	if p.traces, err = config.LoadTraces(os.Environ()); err != nil {
		return nil, &usageError{err}
	}
	return p, nil
}

// serve runs the service with its log on stderr and its metrics on the admin port. It calls ready when the service is
// ready.
func (p *program) serve(ctx context.Context, ready func(addr string)) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	p.service.Registerer = registry
	log, endLog := telemetry.NewBatchedLogger(os.Stderr, p.service.LogLevel)
	defer endLog()
	p.service.Log = log.With("service", p.word)
	tracer, err := lifecycle.NewTracer(p.word, version, p.traces, p.service.Log, registry)
	if err != nil {
		return err
	}
	defer tracer.Close()
	p.service.Tracer = tracer
	listener, err := httpserver.Listen(ctx, p.service.Addr)
	if err != nil {
		return explainUp(fmt.Errorf("listen on %s: %w", p.service.Addr, err))
	}
	p.service.Listener = listener
	p.service.OnReady = func() { ready(listener.Addr().String()) }
	var group runner.Group
	group.Go(p.word, func(ctx context.Context) error {
		if err := p.run(ctx); err != nil {
			return err
		}
		if ctx.Err() == nil {
			return errors.New("it ended unexpectedly")
		}
		return nil
	})
	group.Go("admin port", func(ctx context.Context) error { return serveAdmin(ctx, p.adminAddr(), registry, p.service.Log) })
	return explainUp(group.Run(ctx))
}

// adminAddr returns the configured address, or loopback with the service's port plus 1000.
func (p *program) adminAddr() string {
	if p.admin.AdminAddr != "" {
		return p.admin.AdminAddr
	}
	port, err := strconv.Atoi(defaultPorts[p.word])
	if _, text, splitErr := net.SplitHostPort(p.service.Addr); splitErr == nil {
		if n, atoiErr := strconv.Atoi(text); atoiErr == nil && n > 0 && n < 64000 {
			port, err = n, nil
		}
	}
	if err != nil {
		return "127.0.0.1:0"
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port+1000))
}

func serveAdmin(ctx context.Context, addr string, gatherer prometheus.Gatherer, log *slog.Logger) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", addr, err)
	}
	log.InfoContext(ctx, "admin port is open", "address", listener.Addr().String())
	server := &http.Server{Handler: telemetry.AdminHandler(telemetry.AdminOptions{Gatherer: gatherer}), ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // requests that are still open are no longer useful
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
