package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/cmd/fountain/internal/terminal"
	"github.com/fountainai/fountain/impl/family"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/telemetry"
)

func newUp() *cobra.Command {
	var c family.Config
	var level, accessLog, keep string
	cmd := &cobra.Command{
		Use:     "up",
		Example: "  fountain up\n  fountain up --data /srv/fountain --addr 127.0.0.1:8100 --cors-origins https://app.example.org",
		Short:   "Run all services in one process",
		Long: `up runs all services in one process on loopback, with all their data in one directory, and prints "ready
<gateway URL>" when every service is ready. SIGTERM drains and stops it. Another start with the same directory
continues with the same data.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for name, addr := range map[string]string{"--addr": c.Addr, "--admin-addr": c.AdminAddr} {
				if _, _, err := net.SplitHostPort(addr); err != nil {
					return usagef("%s must be HOST:PORT", name)
				}
			}
			logLevel, err := parseLevel(level)
			if err != nil {
				return err
			}
			if err := c.AccessLog.UnmarshalText([]byte(accessLog)); err != nil {
				return usagef("--access-log: %v", err)
			}
			if c.AuditKeep, err = time.ParseDuration(keep); err != nil || c.AuditKeep <= 0 {
				return usagef("--audit-keep must be a time above 0, for example 2160h")
			}
			for _, cidr := range c.TrustedProxies {
				if _, err := netip.ParsePrefix(cidr); err != nil {
					return usagef("--trusted-proxies must be CIDRs, for example 127.0.0.1/32")
				}
			}
			if c.Traces, err = config.LoadTraces(os.Environ()); err != nil {
				return &usageError{err}
			}
			if err := config.Load(config.RedisPrefix, &c.Redis); err != nil {
				return &usageError{err}
			}
			if err := c.Redis.Validate(); err != nil {
				return &usageError{err}
			}
			if err := config.LoadFrom(twofactorPrefix, &c.Delivery, settingsOf(twofactorPrefix, deliverySettings...)); err != nil {
				return &usageError{err}
			}
			if err := config.LoadFrom(twofactorPrefix, &c.Passkeys, settingsOf(twofactorPrefix, passkeySettings)); err != nil {
				return &usageError{err}
			}
			var raising struct {
				Channels []string `env:"STEP_UP_CHANNELS"`
			}
			if err := config.LoadFrom(twofactorPrefix, &raising, settingsOf(twofactorPrefix, channelSettings)); err != nil {
				return &usageError{err}
			}
			c.StepUpChannels = raising.Channels
			if err := errors.Join(c.Delivery.Validate(), c.Passkeys.Validate()); err != nil {
				return &usageError{fmt.Errorf("settings that begin with %s: %w", twofactorPrefix, err)}
			}
			if err := config.LoadFrom(gatewayPrefix, &c.Adopted, settingsOf(gatewayPrefix, adoptedSettings...)); err != nil {
				return &usageError{err}
			}
			if err := config.LoadFrom(searchPrefix, &c.Engine, settingsOf(searchPrefix, engineSettings)); err != nil {
				return &usageError{err}
			}
			if err := c.Adopted.Validate(); err != nil {
				return &usageError{fmt.Errorf("settings that begin with %s: %w", gatewayPrefix, err)}
			}
			if err := config.LoadFrom(kmsPrefix, &c.Rotators, settingsOf(kmsPrefix, rotationSettings)); err != nil {
				return &usageError{err}
			}
			if err := c.Rotators.Validate(); err != nil {
				return &usageError{fmt.Errorf("settings that begin with %s: %w", kmsPrefix, err)}
			}
			if err := c.Validate(); err != nil {
				return &usageError{err}
			}
			if err := checkRelease(cmd.Context(), c.DataDir); err != nil {
				return err
			}
			c.Version = version
			log, endLog := telemetry.NewBatchedLogger(os.Stderr, logLevel)
			defer endLog()
			c.Log = log
			if names := ignoredSettings(os.Environ()); len(names) > 0 {
				log.WarnContext(cmd.Context(), "fountain up does not support these settings of fountain serve and ignores them", "settings", names)
			}
			c.OnReady = func(info family.Info) { announce(cmd.OutOrStdout(), cmd.ErrOrStderr(), c.DataDir, info) }
			return explainUp(family.Run(cmd.Context(), c))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&c.DataDir, "data", env("FOUNTAIN_DATA", "./data"), "directory of all stored data (FOUNTAIN_DATA)")
	flags.StringVar(&c.Addr, "addr", env("FOUNTAIN_ADDR", "127.0.0.1:8002"), "HOST:PORT of the gateway; port 0 selects a free port (FOUNTAIN_ADDR)")
	flags.StringVar(&c.AdminAddr, "admin-addr", env("FOUNTAIN_ADMIN_ADDR", "127.0.0.1:9002"), "HOST:PORT of metrics and pprof (FOUNTAIN_ADMIN_ADDR)")
	flags.StringVar(&c.Issuer, "issuer", env("FOUNTAIN_ISSUER", ""), "issuer (iss) of the tokens, fixed at the first start (FOUNTAIN_ISSUER; default: the gateway's URL at that start)")
	flags.StringVar(&level, "log-level", env("FOUNTAIN_LOG_LEVEL", ""), "log level: debug, info, warn or error (FOUNTAIN_LOG_LEVEL; default: warn on a terminal, otherwise info)")
	flags.StringVar(&accessLog, "access-log", env("FOUNTAIN_ACCESS_LOG", "all"), "requests in the log: all, sample:SHARE (of the successful ones) or failures (FOUNTAIN_ACCESS_LOG)")
	flags.StringVar(&keep, "audit-keep", env("FOUNTAIN_AUDIT_KEEP", "2160h"), "minimum time for which audit events are kept, archived or not (FOUNTAIN_AUDIT_KEEP)")
	flags.StringSliceVar(&c.TrustedProxies, "trusted-proxies", list(env("FOUNTAIN_TRUSTED_PROXIES", "")), "CIDRs of proxies whose X-Forwarded-* headers are trusted (FOUNTAIN_TRUSTED_PROXIES; default: none)")
	flags.StringSliceVar(&c.CORSOrigins, "cors-origins", list(env("FOUNTAIN_CORS_ORIGINS", "")), "origins of pages whose requests from a browser are allowed (FOUNTAIN_CORS_ORIGINS; default: none)")
	flags.StringSliceVar(&c.Hosts, "hosts", list(env("FOUNTAIN_HOSTS", "")), "additional host names of the gateway (FOUNTAIN_HOSTS; default: the issuer's and loopback names)")
	return cmd
}

// twofactorPrefix is the prefix of the settings for sending codes and for the passkey site. They are settings of serve
// twofactor; up sets the other ones itself.
const twofactorPrefix = "FOUNTAIN_TWOFACTOR_"

// kmsPrefix is the prefix of the settings for rotations outside the kms. They are settings of serve kms; up sets the
// other ones itself.
const kmsPrefix = "FOUNTAIN_KMS_"

// gatewayPrefix is the prefix of the settings for adopted services. They are settings of serve gateway; up sets the
// other ones itself.
const gatewayPrefix = "FOUNTAIN_GATEWAY_"

// searchPrefix is the prefix of the settings for a Typesense that search uses.
const searchPrefix = "FOUNTAIN_SEARCH_"

// The settings of the services that up accepts, by the start of their names after the prefix.
var (
	deliverySettings = []string{"SMTP_", "TWILIO_", "SMS_", "WEBHOOK_", "TEMPLATES_"}
	adoptedSettings  = []string{"CONTRACTS_DIR", "MEMBERS_ORIGIN", "UPSTREAM_ALLOW"}
)

const (
	passkeySettings  = "WEBAUTHN_"
	channelSettings  = "STEP_UP_CHANNELS"
	engineSettings   = "ENGINE_"
	rotationSettings = "ROTATION_"
)

// ignoredSettings returns the names of service settings in the environment that up ignores. A user who sets one expects it to
// have an effect.
func ignoredSettings(environ []string) (names []string) {
	for prefix, taken := range map[string][]string{
		twofactorPrefix:      append([]string{passkeySettings, channelSettings}, deliverySettings...),
		kmsPrefix:            {rotationSettings},
		gatewayPrefix:        adoptedSettings,
		searchPrefix:         {engineSettings},
		"FOUNTAIN_SEQUENCE_": nil,
	} {
		for _, entry := range environ {
			name, _, _ := strings.Cut(entry, "=")
			rest, ok := strings.CutPrefix(name, prefix)
			if ok && !slices.ContainsFunc(taken, func(group string) bool { return strings.HasPrefix(rest, group) }) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// settingsOf returns the environment's entries with this prefix that belong to these groups.
func settingsOf(prefix string, groups ...string) (out []string) {
	for _, entry := range os.Environ() {
		name, ok := strings.CutPrefix(entry, prefix)
		if ok && slices.ContainsFunc(groups, func(group string) bool { return strings.HasPrefix(name, group) }) {
			out = append(out, entry)
		}
	}
	return out
}

// list splits a list at its commas.
func list(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// env returns an environment variable, or fallback if it is unset or empty.
func env(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

func parseLevel(text string) (slog.Level, error) {
	var level slog.Level
	if text == "" {
		if terminal.Is(os.Stderr) {
			return slog.LevelWarn, nil
		}
		return slog.LevelInfo, nil
	}
	if level.UnmarshalText([]byte(text)) != nil {
		return 0, usagef("--log-level must be debug, info, warn or error")
	}
	return level, nil
}

// announce prints where everything is. It tells users on stderr, in a single write so that no log line comes between.
// It tells scripts on stdout, in one line, that the services are ready.
func announce(stdout, stderr io.Writer, data string, info family.Info) {
	var text strings.Builder
	fmt.Fprintf(&text, "\n  FountainAI %s is ready.\n\n", version)
	fmt.Fprintf(&text, "  gateway         %s\n", info.GatewayURL)
	fmt.Fprintf(&text, "  console         %s/console\n", info.GatewayURL)
	fmt.Fprintf(&text, "  second factors  %s/twofactor/v1/enroll\n", info.GatewayURL)
	fmt.Fprintf(&text, "  documentation   %s/docs\n", info.GatewayURL)
	fmt.Fprintf(&text, "  metrics, pprof  %s/services\n", info.AdminURL)
	fmt.Fprintf(&text, "  data            %s\n", data)
	if info.BootstrapTokenFile != "" {
		at := ""
		if info.GatewayURL != defaultURL {
			at = " --url " + info.GatewayURL
		}
		text.WriteString("\n  There is no administrator yet. Within an hour the one-time token in this file creates the first one:\n")
		fmt.Fprintf(&text, "  fountain bootstrap --username NAME%s --token-file %s\n", at, info.BootstrapTokenFile)
	}
	fmt.Fprintln(stderr, text.String())
	fmt.Fprintf(stdout, "ready %s\n", info.GatewayURL)
}

// explainUp turns common errors into one clear sentence.
func explainUp(err error) error {
	var address *family.AddressError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &address) && errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("the address %s is taken by another program; choose another with --addr or --admin-addr", address.Addr)
	case errors.Is(err, family.ErrLocked):
		return fmt.Errorf("%w; stop that one, or choose another directory with --data", err)
	case errors.Is(err, os.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w; give this user the right to write there, or choose another directory with --data", err)
	case errors.Is(err, context.Canceled):
		return nil
	}
	return err
}
