package main

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/impl/search"
	"github.com/fountainai/fountain/internal/telemetry"
)

// newServeTypesense makes the command that runs the embedded engine as a server of its own.
func newServeTypesense() *cobra.Command {
	var c search.TypesenseConfig
	var host, level string
	var port uint16
	var interval uint
	var check, repair bool
	cmd := &cobra.Command{
		Use: "typesense",
		Example: "  fountain serve typesense --data /srv/typesense --key-file /srv/typesense.key\n" +
			"  fountain serve typesense --port 8109 --data ts --key-file ts.key --cors-origins https://shop.example.org\n" +
			"  fountain serve typesense --data /srv/typesense --check\n" +
			"  fountain serve typesense --data /srv/typesense --repair",
		Short: "Run the embedded search engine alone, for Typesense clients",
		Long: `serve typesense runs the embedded search engine as a separate process. It provides the HTTP API of Typesense,
on loopback unless --host is given, to clients that have the key in --key-file, which is created if it does
not exist. docs/embedded-engine.md describes what it supports.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case repair && check:
				return usagef("--check and --repair are two commands")
			case repair:
				return repairTypesense(cmd, c.DataDir)
			case check:
				return checkTypesense(cmd, c.DataDir)
			}
			c.AnalyticsInterval = time.Duration(min(interval, math.MaxInt32)) * time.Second
			if err := c.Validate(); err != nil {
				return &usageError{err}
			}
			logLevel, err := parseLevel(level)
			if err != nil {
				return err
			}
			log, endLog := telemetry.NewBatchedLogger(os.Stderr, logLevel)
			defer endLog()
			c.Log = log.With("service", "typesense")
			c.Addr = net.JoinHostPort(host, strconv.Itoa(int(port)))
			if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
				c.Log.Warn("the engine can be reached from other machines, without TLS: put a proxy with a certificate in front of it", "address", c.Addr)
			}
			err = search.ServeTypesense(cmd.Context(), c, func(addr string) { fmt.Fprintf(cmd.OutOrStdout(), "ready http://%s\n", addr) })
			return explainUp(explainEngine(err, c.DataDir))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&host, "host", "127.0.0.1", "address to listen on")
	flags.Uint16Var(&port, "port", 8108, "port to listen on")
	flags.StringVar(&c.DataDir, "data", "", "directory of the collections")
	flags.StringVar(&c.KeyFile, "key-file", "", "file with the admin key; created with mode 0600 if it does not exist")
	flags.StringSliceVar(&c.CORSOrigins, "cors-origins", nil, "origins of pages whose requests from a browser are allowed, * for all; default: none")
	flags.StringVar(&c.Snapshots, "snapshots", "", "directory to which POST /operations/snapshot writes snapshots (default: snapshots in --data)")
	flags.IntVar(&c.MaxCollectionDocuments, "max-collection-documents", 0, "maximum number of documents in a collection (default: 200000)")
	flags.IntVar(&c.MaxDocuments, "max-documents", 0, "maximum number of documents in all collections (default: 1000000)")
	flags.IntVar(&c.MaxMemoryMiB, "max-memory-mib", 0, "maximum estimated memory of the indexes, in MiB (default: 512)")
	flags.BoolVar(&c.Analytics, "enable-search-analytics", false, "count queries and events for analytics rules")
	flags.UintVar(&interval, "analytics-flush-interval", 3600, "interval at which counts are written to the collections of the rules, in seconds, at least 60")
	flags.StringVar(&level, "log-level", "info", "log level: debug, info, warn or error")
	flags.BoolVar(&check, "check", false, "compare every document with the index, and exit")
	flags.BoolVar(&repair, "repair", false, "rebuild the documents from what can be read of damaged ones, keep the old file, and exit")
	return cmd
}

// explainEngine says what to do if the engine in a directory cannot be opened.
func explainEngine(err error, dir string) error {
	switch {
	case errors.Is(err, search.ErrEngineLocked):
		return fmt.Errorf("%s is used by another process", dir)
	case errors.Is(err, search.ErrEngineDamaged):
		return fmt.Errorf("%w; fountain serve typesense --data %s --repair recovers what can be read", err, dir)
	}
	return err
}

// checkTypesense compares the documents of the engine in a directory with its indexes.
func checkTypesense(cmd *cobra.Command, dir string) error {
	if dir == "" {
		return usagef("fountain serve typesense --check needs --data")
	}
	done, err := search.CheckTypesense(cmd.Context(), dir, slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)))
	if err != nil {
		return explainEngine(err, dir)
	}
	lines, faults := checked(dir, done)
	_, err = fmt.Fprint(cmd.OutOrStdout(), lines)
	return errors.Join(faults, err)
}

// checked describes the result of comparing the documents in a directory with their indexes.
func checked(dir string, done search.Checked) (lines string, err error) {
	for _, f := range done.Faults {
		if f.Damaged {
			lines += fmt.Sprintf("%s: the index can't be read\n", f.Collection)
			continue
		}
		lines += fmt.Sprintf("%s: %d documents are not in the index, %d are in it and not stored, %d are in it otherwise than they are stored\n", f.Collection, f.Lacking, f.Excess, f.Different)
	}
	if len(done.Faults) > 0 {
		return lines, fmt.Errorf("%d of %d indexes do not match their documents: remove %s while the engine is stopped, and the next start rebuilds them",
			len(done.Faults), done.Collections, filepath.Join(dir, "index"))
	}
	return fmt.Sprintf("%d collections with %d documents: the indexes match them\n", done.Collections, done.Documents), nil
}

// repairTypesense recovers what can be read of the engine in a directory, which may be that of a search service
// (search/engine in the data directory).
func repairTypesense(cmd *cobra.Command, dir string) error {
	if dir == "" {
		return usagef("fountain serve typesense --repair needs --data")
	}
	done, err := search.RepairTypesense(dir, slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)))
	switch {
	case errors.Is(err, search.ErrEngineLocked):
		return fmt.Errorf("%s is used by another process", dir)
	case err != nil:
		return fmt.Errorf("repair %s: %w", dir, err)
	case done.Kept == "":
		return fmt.Errorf("%s has no documents", dir)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d collections with %d documents are whole; at least %d documents are lost. The damaged file is kept as %s\n",
		done.Collections, done.Documents, done.Broken, done.Kept)
	return err
}
