package config

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Traces says whether and how a program exports its traces. Programs read it from the variables that OpenTelemetry names (OpenTelemetry
// specification, "Environment Variable Specification" and "OTLP Exporter"): operators set them for everything that they run.
type Traces struct {
	Endpoint string        // URL of the collector; empty: no traces are made
	Header   http.Header   // for the collector. It may hold secrets: never log it
	CAFile   string        // authorities trusted for the collector instead of the system's
	Timeout  time.Duration // of one call
	Share    float64       // of the traces that begin here that are sampled, from 0 to 1
}

// headersFile is a variable of our own: the headers contain the collector's credentials, and secrets are given as files.
const headersFile = "FOUNTAIN_OTLP_HEADERS_FILE"

// LoadTraces reads the settings from "NAME=value" entries. An endpoint enables traces; a setting that demands an unsupported feature is an error
// then. All errors are reported together, without the values.
func LoadTraces(environ []string) (Traces, error) {
	values := map[string]string{}
	for _, entry := range environ {
		if name, value, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "OTEL_") || name == headersFile {
			values[name] = value
		}
	}
	r := &tracesReader{values: values}
	t := Traces{Endpoint: r.endpoint()}
	if t.Endpoint == "" || strings.EqualFold(values["OTEL_SDK_DISABLED"], "true") || values["OTEL_TRACES_EXPORTER"] == "none" {
		return Traces{}, nil
	}
	if !httpURL(t.Endpoint) {
		r.fault("OTEL_EXPORTER_OTLP_ENDPOINT", "must be an absolute http or https URL without user, query and fragment")
	}
	r.oneOf("OTEL_TRACES_EXPORTER", values["OTEL_TRACES_EXPORTER"], "otlp")
	_, protocol := r.exporter("PROTOCOL")
	r.oneOf("OTEL_EXPORTER_OTLP_PROTOCOL", protocol, "http/protobuf")
	_, compression := r.exporter("COMPRESSION")
	r.oneOf("OTEL_EXPORTER_OTLP_COMPRESSION", compression, "none")
	_, t.CAFile = r.exporter("CERTIFICATE")
	t.Timeout, t.Share, t.Header = r.timeout(), r.share(), r.header()
	return t, errors.Join(r.errs...)
}

// tracesReader reads single settings and collects errors.
type tracesReader struct {
	values map[string]string
	errs   []error
}

func (r *tracesReader) fault(name, text string) {
	r.errs = append(r.errs, fmt.Errorf("%s: %s", name, text))
}

// exporter returns a setting of the exporter: the one for traces takes precedence over the general one.
func (r *tracesReader) exporter(setting string) (name, value string) {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_" + setting, "OTEL_EXPORTER_OTLP_" + setting} {
		if value := r.values[name]; value != "" {
			return name, value
		}
	}
	return "", ""
}

func (r *tracesReader) oneOf(name, value, only string) {
	if value != "" && value != only {
		r.fault(name, "only "+only+" is supported")
	}
}

// endpoint returns the URL for traces unchanged, or that of the collector with the path for traces appended.
func (r *tracesReader) endpoint() string {
	name, value := r.exporter("ENDPOINT")
	if name == "OTEL_EXPORTER_OTLP_ENDPOINT" {
		return strings.TrimSuffix(value, "/") + "/v1/traces"
	}
	return value
}

func (r *tracesReader) timeout() time.Duration {
	name, value := r.exporter("TIMEOUT")
	if value == "" {
		return 10 * time.Second
	}
	milliseconds, err := strconv.Atoi(value)
	if err != nil || milliseconds < 1 || milliseconds > 60_000 {
		r.fault(name, "must be a whole number of milliseconds from 1 to 60000")
	}
	return time.Duration(milliseconds) * time.Millisecond
}

// share returns the share of traces without a parent that parent-based samplers sample.
func (r *tracesReader) share() float64 {
	switch r.values["OTEL_TRACES_SAMPLER"] {
	case "", "parentbased_always_on":
		return 1
	case "parentbased_always_off":
		return 0
	case "parentbased_traceidratio":
		text := r.values["OTEL_TRACES_SAMPLER_ARG"]
		if text == "" {
			return 1
		}
		share, err := strconv.ParseFloat(text, 64)
		if err != nil || !(share >= 0 && share <= 1) {
			r.fault("OTEL_TRACES_SAMPLER_ARG", "must be a number from 0 to 1")
		}
		return share
	}
	r.fault("OTEL_TRACES_SAMPLER", "must be parentbased_traceidratio, parentbased_always_on or parentbased_always_off")
	return 0
}

// header parses comma-separated NAME=VALUE pairs with percent-encoded values (OTLP Exporter, "Specifying headers").
func (r *tracesReader) header() http.Header {
	name, text := r.exporter("HEADERS")
	if path := r.values[headersFile]; path != "" {
		if text != "" {
			r.fault(headersFile, "and "+name+" exclude each other")
		}
		secret, err := ReadSecret(path)
		if err != nil {
			r.fault(headersFile, err.Error())
		}
		name, text = headersFile, secret
	}
	header := http.Header{}
	for pair := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		field, value, found := strings.Cut(pair, "=")
		decoded, err := url.PathUnescape(strings.TrimSpace(value))
		field = strings.TrimSpace(field)
		if !found || err != nil || !fieldName(field) || strings.ContainsAny(decoded, "\r\n\x00") {
			r.fault(name, "must be NAME=VALUE pairs with commas between them")
			break
		}
		header.Set(field, decoded)
	}
	return header
}

// fieldName reports whether a text is a token (RFC 9110, section 5.1).
func fieldName(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	})
}
