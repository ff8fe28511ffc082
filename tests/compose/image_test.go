//go:build compose

package compose

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// maxImage is the maximum size of the image in bytes, a little more than its present size (tools/size.sh lists what it consists of).
const maxImage = 60e6

// inImage are the only paths that the image may contain.
var inImage = map[string]bool{"fountain": true, "etc/": true, "etc/ssl/": true, "etc/ssl/certs/": true, "etc/ssl/certs/ca-certificates.crt": true, "data/": true, "root-key/": true, "backups/": true, "drill/": true,
	"enrol/": true, "enrol/gateway/": true, "enrol/twofactor/": true, "enrol/search/": true, "enrol/sequence/": true}

func docker(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(os.Getenv("DOCKER"), args...)
	cmd.Dir = filepath.Join("..", "..")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "docker %v: %s", args, &stderr)
	return out
}

// image is the inspection of an image by the engine.
type image struct {
	Size   int64
	Config map[string]any
	RootFS struct{ Layers []string }
}

func buildImage(t *testing.T) (name string, inspected image) {
	t.Helper()
	name = "fountainproof:" + strings.ToLower(t.Name()[len("TestImage_"):][:4])
	docker(t, "build", "-q", "--no-cache", "--build-arg", "SOURCE_DATE_EPOCH=1700000000", "-t", name, ".")
	t.Cleanup(func() { docker(t, "image", "rm", "-f", name) })
	var all []image
	require.NoError(t, json.Unmarshal(docker(t, "image", "inspect", name), &all))
	require.Len(t, all, 1)
	delete(all[0].Config, "Image") // the intermediate image of the classic builder, which contains the time
	delete(all[0].Config, "Hostname")
	return name, all[0]
}

// Two builds without a cache have the same layers and the same settings. After tools/image has removed the time of the build, the images have the same digest.
func TestImage_buildsTwiceToTheSameDigest(t *testing.T) {
	nameOfFirst, first := buildImage(t)
	digest := digestOf(t, nameOfFirst)
	nameOfSecond, second := buildImage(t)
	require.Equal(t, digest, digestOf(t, nameOfSecond))
	require.Len(t, first.RootFS.Layers, 2)
	require.Equal(t, first.RootFS.Layers, second.RootFS.Layers)
	require.Equal(t, first.Config, second.Config)
	t.Logf("digest %s, layers %v, %d bytes", digest, first.RootFS.Layers, first.Size)
}

// digestOf returns the digest of an image by tools/image. An engine that loads the tool's output computes the same one.
func digestOf(t *testing.T, name string) string {
	t.Helper()
	tool := filepath.Join(t.TempDir(), "image")
	out, err := exec.Command("go", "build", "-o", tool, "github.com/fountainai/fountain/tools/image").CombinedOutput()
	require.NoError(t, err, "%s", out)
	plain := exec.Command(tool, "-time", "1700000000", "-tag", name+"-plain")
	plain.Stdin = bytes.NewReader(docker(t, "save", name))
	var archive, id bytes.Buffer
	plain.Stdout, plain.Stderr = &archive, &id
	require.NoError(t, plain.Run(), "%s", &id)
	load := exec.Command(os.Getenv("DOCKER"), "load", "-q")
	load.Stdin = &archive
	out, err = load.CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Cleanup(func() { docker(t, "image", "rm", "-f", name+"-plain") })
	loaded := strings.TrimSpace(string(docker(t, "image", "inspect", "-f", "{{.Id}} {{.Created}}", name+"-plain")))
	require.Equal(t, strings.TrimSpace(id.String())+" 2023-11-14T22:13:20Z", loaded)
	return strings.TrimSpace(id.String())
}

// The image contains only the program, the certificate authorities and empty directories, and is small.
func TestImage_hasNothingButTheProgram(t *testing.T) {
	name, inspected := buildImage(t)
	t.Logf("%.1f MB", float64(inspected.Size)/1e6)
	require.Less(t, float64(inspected.Size), maxImage)
	for _, entry := range inspected.Config["Env"].([]any) {
		require.True(t, strings.HasPrefix(entry.(string), "PATH="), "the environment has %s", entry)
	}
	require.Equal(t, "65532:65532", inspected.Config["User"])
	seen := map[string]bool{}
	images := tar.NewReader(bytes.NewReader(docker(t, "save", name)))
	for {
		_, err := images.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		raw, err := io.ReadAll(images)
		require.NoError(t, err)
		for path, mode := range layerModes(raw) {
			require.True(t, inImage[path], "%s is in the image", path)
			require.Zero(t, mode&0o022, "others can write %s", path)
			seen[path] = true
		}
	}
	require.True(t, seen["fountain"] && seen["etc/ssl/certs/ca-certificates.crt"] && seen["data/"], "the layers were read: %v", seen)
	history := string(docker(t, "history", "--no-trunc", "--format", "{{.CreatedBy}}", name))
	require.NotRegexp(t, secretPatterns, history)
}

// layerModes returns the modes of the files in a layer, compressed or not; nil if the data is not an archive.
func layerModes(raw []byte) map[string]int64 {
	if unzipped, err := gzip.NewReader(bytes.NewReader(raw)); err == nil {
		if raw, err = io.ReadAll(unzipped); err != nil {
			return nil
		}
	}
	files := map[string]int64{}
	for archive := tar.NewReader(bytes.NewReader(raw)); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil { // not an archive
			return nil
		}
		files[strings.TrimPrefix(header.Name, "./")] = header.Mode
	}
}
