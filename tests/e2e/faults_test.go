//go:build linux

package e2e

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/tests/harness"
)

// bases returns the base URLs of all services of a family, including the gateway.
func bases(f *harness.Family) map[string]string {
	out := map[string]string{"gateway": f.Info.GatewayURL}
	for _, word := range []string{"kms", "twofactor", "search", "sequence"} {
		out[word] = f.Info.Services[word]
	}
	return out
}

// smallDisk mounts a small file system, which requires root.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options)
	if errors.Is(err, syscall.EPERM) && !strings.Contains(os.Getenv("FOUNTAIN_TEST_REQUIRE"), "postgres") {
		t.Skip("only root can mount a small disk; CI is root")
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	return dir
}

// Every service that stores data reports a full disk within two seconds plus what the machine needs, and is ready again
// when there is room. The gateway stores nothing and stays ready.
func TestReadiness_saysThatTheDiskIsFull(t *testing.T) {
	disk := smallDisk(t, "size=64m")
	f := harness.Open(t, filepath.Join(disk, "data"), time.Now())
	filler := filepath.Join(disk, "filler")
	kept := bases(f)
	gateway := kept["gateway"]
	delete(kept, "gateway")
	watch := harness.WatchReadiness(t, kept)
	began := time.Now()
	require.ErrorIs(t, os.WriteFile(filler, bytes.Repeat([]byte{1}, 65<<20), 0o600), syscall.ENOSPC)
	said := watch.Until(http.StatusServiceUnavailable, began)
	status, _ := harness.Readiness(t, gateway, "gateway")
	require.Equal(t, http.StatusOK, status)
	began = time.Now()
	require.NoError(t, os.Remove(filler))
	harness.LogReadiness(t, "disk full", said, watch.Until(http.StatusOK, began))
}

// While the clock is a year ahead, the services' own keys have expired, and the services report it. When the clock is
// set right, each of them is ready again by itself, with the same key: the kms, which considers that key valid again,
// writes no enrolment token for it.
func TestReadiness_comesBackAfterAClockThatLeaps(t *testing.T) {
	harness.Own(t, "its clock is the machine's")
	f := harness.Start(t)
	f.Bootstrap()
	const year = 365 * 24 * time.Hour
	f.Clock.Set(year)
	all := bases(f)
	watch := harness.WatchReadiness(t, all)
	for word, away := range watch.Away(4 * time.Second) {
		t.Logf("clock a year ahead: %s was not ready for %.2f s of 4 s", word, away.Seconds())
	}
	began := time.Now()
	f.Clock.Set(-year)
	for word, took := range watch.Until(http.StatusOK, began) {
		t.Logf("clock set right: %s was ready after %.2f s", word, took.Seconds())
	}
	_, err := f.Admin().Gateway.ListGatewayServices(t.Context())
	require.NoError(t, err)
}
