package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const layerText = "the bytes of a layer"

// archiveOf is what an engine saves of an image that was built at a time, in the form of one engine or another.
func archiveOf(t *testing.T, built time.Time, command string, newer bool) []byte {
	t.Helper()
	sum := sha256.Sum256([]byte(layerText))
	config := fmt.Sprintf(`{"architecture":"amd64","created":%q,"container":"c%d","container_config":{"Hostname":"h%d"},"config":{"Hostname":"h%d","Image":"sha256:%d","User":"65532:65532","Cmd":[%q]},
		"history":[{"created":%q,"created_by":"COPY"}],"os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}`,
		built.Format(time.RFC3339Nano), built.Unix(), built.Unix(), built.Unix(), built.Unix(), command, built.Format(time.RFC3339Nano), hex.EncodeToString(sum[:]))
	layer, layerName, configName := []byte(layerText), "abc/layer.tar", "abc.json"
	if newer { // an OCI layout, compressed
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, err := w.Write(layer)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		layer, layerName, configName = packed.Bytes(), "blobs/sha256/1", "blobs/sha256/2"
	}
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	put := func(name string, text []byte) {
		require.NoError(t, archive.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600, Size: int64(len(text)), ModTime: built}))
		_, err := archive.Write(text)
		require.NoError(t, err)
	}
	put(configName, []byte(config))
	put(layerName, layer)
	put("manifest.json", fmt.Appendf(nil, `[{"Config":%q,"RepoTags":["a:b"],"Layers":[%q]}]`, configName, layerName))
	require.NoError(t, archive.Close())
	return out.Bytes()
}

func plain(t *testing.T, in []byte) (id string, out []byte) {
	t.Helper()
	var written bytes.Buffer
	id, err := normalise(bytes.NewReader(in), &written, time.Unix(1700000000, 0), "fountainai/fountain:dev")
	require.NoError(t, err)
	return id, written.Bytes()
}

// Builds at two times, saved by two engines, are one image; one with another command is another.
func TestNormalise_leavesNoTimeAndNoBuilder(t *testing.T) {
	monday := time.Date(2026, 11, 30, 8, 0, 0, 5, time.UTC)
	first, bytesOfFirst := plain(t, archiveOf(t, monday, "help", false))
	second, bytesOfSecond := plain(t, archiveOf(t, monday.Add(time.Hour), "help", true))
	other, _ := plain(t, archiveOf(t, monday, "serve", false))
	require.Equal(t, first, second)
	require.Equal(t, bytesOfFirst, bytesOfSecond)
	require.NotEqual(t, first, other)
	require.NotContains(t, string(bytesOfFirst), "2026-11-30")
	again, bytesOfAgain := plain(t, bytesOfFirst)
	require.Equal(t, first, again, "it is an archive of the same kind")
	require.Equal(t, bytesOfFirst, bytesOfAgain)
	require.True(t, strings.HasPrefix(first, "sha256:"))
}

func TestNormalise_refusesWhatIsNoImage(t *testing.T) {
	for name, in := range map[string][]byte{"nothing": nil, "no archive": []byte("text"), "cut off": archiveOf(t, time.Unix(1, 0), "help", false)[:700]} {
		var out bytes.Buffer
		_, err := normalise(bytes.NewReader(in), &out, time.Unix(0, 0), "")
		require.Error(t, err, name)
		require.Zero(t, out.Len(), name)
	}
}

// What is too long is refused, and not cut off.
func TestBounded_cutsNothingOff(t *testing.T) {
	text, err := bounded(strings.NewReader("layer"), 5)
	require.NoError(t, err)
	require.Equal(t, "layer", string(text))
	_, err = bounded(strings.NewReader("layers"), 5)
	require.ErrorContains(t, err, "longer than 5 bytes")
}
