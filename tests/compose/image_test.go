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

// maxImage is what the image may have, in bytes: a little more than it has (tools/size.sh says of what).
const maxImage = 60e6

// inImage is all that may be in it.
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

// built is what the engine tells of an image.
type built struct {
	Size   int64
	Config map[string]any
	RootFS struct{ Layers []string }
}

func buildImage(t *testing.T) (name string, told built) {
	t.Helper()
	name = "fountainproof:" + strings.ToLower(t.Name()[len("TestImage_"):][:4])
	docker(t, "build", "-q", "--no-cache", "--build-arg", "SOURCE_DATE_EPOCH=1700000000", "-t", name, ".")
	t.Cleanup(func() { docker(t, "image", "rm", "-f", name) })
	var all []built
	require.NoError(t, json.Unmarshal(docker(t, "image", "inspect", name), &all))
	require.Len(t, all, 1)
	delete(all[0].Config, "Image") // the classic builder's own intermediate image, which has its time
	delete(all[0].Config, "Hostname")
	return name, all[0]
}

// Two builds, with nothing kept between them, are the same layers with the same settings, and the same image, by its digest, once tools/image has taken the time of the build out.
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

// digestOf is the digest of an image by tools/image, which an engine that loads what the tool writes gives it too.
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
	told := strings.TrimSpace(string(docker(t, "image", "inspect", "-f", "{{.Id}} {{.Created}}", name+"-plain")))
	require.Equal(t, strings.TrimSpace(id.String())+" 2023-11-14T22:13:20Z", told)
	return strings.TrimSpace(id.String())
}

// The program, the authorities and empty directories are all that is in the image, and it is small.
func TestImage_hasNothingButTheProgram(t *testing.T) {
	name, told := buildImage(t)
	t.Logf("%.1f MB", float64(told.Size)/1e6)
	require.Less(t, float64(told.Size), maxImage)
	for _, entry := range told.Config["Env"].([]any) {
		require.True(t, strings.HasPrefix(entry.(string), "PATH="), "the environment has %s", entry)
	}
	require.Equal(t, "65532:65532", told.Config["User"])
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
		for path, mode := range layer(raw) {
			require.True(t, inImage[path], "%s is in the image", path)
			require.Zero(t, mode&0o022, "others can write %s", path)
			seen[path] = true
		}
	}
	require.True(t, seen["fountain"] && seen["etc/ssl/certs/ca-certificates.crt"] && seen["data/"], "the layers were read: %v", seen)
	history := string(docker(t, "history", "--no-trunc", "--format", "{{.CreatedBy}}", name))
	require.NotRegexp(t, shapes, history)
}

// layer reads what may be one, compressed or not: the modes of its files.
func layer(raw []byte) map[string]int64 {
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
		if err != nil { // no archive
			return nil
		}
		files[strings.TrimPrefix(header.Name, "./")] = header.Mode
	}
}
