package config

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLoadTraces_isOffUnlessAnEndpointIsSet(t *testing.T) {
	for _, environ := range [][]string{
		nil,
		{"OTEL_EXPORTER_OTLP_ENDPOINT="},
		{"OTEL_TRACES_SAMPLER=parentbased_always_on", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_SERVICE_NAME=x"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", "OTEL_TRACES_EXPORTER=none"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", "OTEL_SDK_DISABLED=true"},
	} {
		got, err := LoadTraces(environ)
		require.NoError(t, err)
		require.Zero(t, got, environ)
	}
}

func TestLoadTraces_readsWhatOpenTelemetryNames(t *testing.T) {
	got, err := LoadTraces([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318/"})
	require.NoError(t, err)
	require.Equal(t, Traces{Endpoint: "http://c:4318/v1/traces", Header: http.Header{}, Timeout: 10 * time.Second, Share: 1}, got)

	got, err = LoadTraces([]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://other:4318", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://c/traces", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf",
		"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_HEADERS=Authorization=Basic%20aHVudGVyMg==, x-tenant = one", "OTEL_EXPORTER_OTLP_TIMEOUT=500",
		"OTEL_EXPORTER_OTLP_CERTIFICATE=/ca.pem", "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.25",
	})
	require.NoError(t, err)
	require.Equal(t, Traces{
		Endpoint: "https://c/traces", Header: http.Header{"Authorization": {"Basic aHVudGVyMg=="}, "X-Tenant": {"one"}},
		CAFile: "/ca.pem", Timeout: 500 * time.Millisecond, Share: 0.25,
	}, got)

	got, err = LoadTraces([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", "OTEL_TRACES_SAMPLER=parentbased_always_off"})
	require.NoError(t, err)
	require.Zero(t, got.Share)
}

func TestLoadTraces_readsTheSecretFromAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "headers")
	require.NoError(t, os.WriteFile(path, []byte("api-key=hunter2\n"), 0o600))
	got, err := LoadTraces([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", "FOUNTAIN_OTLP_HEADERS_FILE=" + path})
	require.NoError(t, err)
	require.Equal(t, http.Header{"Api-Key": {"hunter2"}}, got.Header)
}

// A setting that is not supported must not be ignored, and no error may contain a value: each may be a misplaced secret.
func TestLoadTraces_refusesWhatItCannotDo(t *testing.T) {
	for want, environ := range map[string][]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT: must be an absolute http or https URL":            {"OTEL_EXPORTER_OTLP_ENDPOINT=http://hunter2:x@c:4318"},
		"OTEL_EXPORTER_OTLP_PROTOCOL: only http/protobuf is supported":                  {"OTEL_EXPORTER_OTLP_PROTOCOL=hunter2"},
		"OTEL_EXPORTER_OTLP_COMPRESSION: only none is supported":                        {"OTEL_EXPORTER_OTLP_COMPRESSION=hunter2"},
		"OTEL_TRACES_EXPORTER: only otlp is supported":                                  {"OTEL_TRACES_EXPORTER=hunter2"},
		"OTEL_TRACES_SAMPLER: must be parentbased_traceidratio":                         {"OTEL_TRACES_SAMPLER=hunter2"},
		"OTEL_TRACES_SAMPLER_ARG: must be a number from 0 to 1":                         {"OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=hunter2"},
		"OTEL_EXPORTER_OTLP_TIMEOUT: must be a whole number":                            {"OTEL_EXPORTER_OTLP_TIMEOUT=hunter2"},
		"OTEL_EXPORTER_OTLP_HEADERS: must be NAME=VALUE pairs":                          {"OTEL_EXPORTER_OTLP_HEADERS=hunter2"},
		"OTEL_EXPORTER_OTLP_TRACES_HEADERS: must be NAME=VALUE pairs":                   {"OTEL_EXPORTER_OTLP_TRACES_HEADERS=a=hunter2%0d%0ab: c"},
		"FOUNTAIN_OTLP_HEADERS_FILE: read secret file":                                  {"FOUNTAIN_OTLP_HEADERS_FILE=/nowhere"},
		"FOUNTAIN_OTLP_HEADERS_FILE: and OTEL_EXPORTER_OTLP_HEADERS exclude each other": {"FOUNTAIN_OTLP_HEADERS_FILE=/nowhere", "OTEL_EXPORTER_OTLP_HEADERS=a=hunter2"},
	} {
		_, err := LoadTraces(append([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318"}, environ...))
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func FuzzLoadTraces(f *testing.F) {
	f.Add("http://c:4318", "a=b,c=%20", "0.5")
	f.Fuzz(func(t *testing.T, endpoint, headers, share string) {
		got, err := LoadTraces([]string{
			"OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint, "OTEL_EXPORTER_OTLP_HEADERS=" + headers, "OTEL_TRACES_SAMPLER=parentbased_traceidratio",
			"OTEL_TRACES_SAMPLER_ARG=" + share,
		})
		if err != nil || got.Endpoint == "" {
			return
		}
		require.True(t, got.Share >= 0 && got.Share <= 1)
		require.True(t, httpURL(got.Endpoint))
		request, err := http.NewRequest(http.MethodPost, got.Endpoint, nil)
		require.NoError(t, err)
		request.Header = got.Header
	})
}
