// Command image removes times and names of the builder from an image, so that two builds of the same files are the same
// image with the same digest, whichever engine built it: docker save IMAGE | image -time SECONDS -tag NAME | docker
// load. It writes the image's id, the digest of its configuration, to standard error. It does not change layers, whose
// files all have the time set in the Dockerfile.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"time"
)

func main() {
	seconds := flag.Int64("time", 0, "the time of the image, in seconds since 1970 (SOURCE_DATE_EPOCH)")
	tag := flag.String("tag", "", "the name of the image; default: the one that it has")
	flag.Parse()
	id, err := normalise(os.Stdin, os.Stdout, time.Unix(*seconds, 0), *tag)
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, id)
}

// saved is an image as docker save lists it in manifest.json.
type saved struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// maxPart limits a file of an archive, in bytes.
const maxPart = 2 << 30

// normalise reads an archive with one image. It writes one whose bytes depend only on the image's layers and settings.
func normalise(in io.Reader, out io.Writer, at time.Time, tag string) (id string, err error) {
	files, err := readArchive(in)
	if err != nil {
		return "", err
	}
	var list []saved
	if err := json.Unmarshal(files["manifest.json"], &list); err != nil {
		return "", fmt.Errorf("read manifest.json: %w", err)
	}
	if len(list) != 1 {
		return "", fmt.Errorf("the archive holds %d images, not one", len(list))
	}
	image := list[0]
	config, err := plainConfig(files[path.Clean(image.Config)], at)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(config)
	id = hex.EncodeToString(sum[:])
	written := map[string][]byte{id + ".json": config}
	image.Config = id + ".json"
	for i, name := range image.Layers {
		layer, err := unpacked(files[path.Clean(name)])
		if err != nil {
			return "", fmt.Errorf("read the layer %s: %w", name, err)
		}
		sum := sha256.Sum256(layer)
		image.Layers[i] = hex.EncodeToString(sum[:]) + ".tar"
		written[image.Layers[i]] = layer
	}
	if tag != "" {
		image.RepoTags = []string{tag}
	}
	if written["manifest.json"], err = json.Marshal([]saved{image}); err != nil {
		return "", err
	}
	return "sha256:" + id, writeArchive(out, written, at)
}

func readArchive(in io.Reader) (map[string][]byte, error) {
	files := map[string][]byte{}
	links := map[string]string{} // for layers that are the same
	for archive := tar.NewReader(in); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the archive: %w", err)
		}
		name := path.Clean(header.Name)
		switch header.Typeflag {
		case tar.TypeReg:
			text, err := bounded(archive, maxPart)
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", name, err)
			}
			files[name] = text
		case tar.TypeSymlink:
			links[name] = path.Join(path.Dir(name), header.Linkname)
		}
	}
	for name, to := range links {
		files[name] = files[to]
	}
	return files, nil
}

// own lists the parts of a configuration that are specific to the builder: its last container, and the parent in its
// cache.
var own = []string{"container", "container_config"}

// plainConfig returns the configuration of an image without what differs in each build. Maps are written in the order
// of their keys.
func plainConfig(text []byte, at time.Time) ([]byte, error) {
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		return nil, fmt.Errorf("read the image's configuration: %w", err)
	}
	for _, name := range own {
		delete(config, name)
	}
	stamp := at.UTC().Format(time.RFC3339)
	config["created"] = stamp
	if run, ok := config["config"].(map[string]any); ok {
		for _, name := range []string{"Hostname", "Image"} {
			delete(run, name)
		}
	}
	history, ok := config["history"].([]any)
	if !ok {
		return nil, errors.New("the image's configuration has no history")
	}
	for _, one := range history {
		if step, ok := one.(map[string]any); ok {
			step["created"] = stamp
		}
	}
	return json.Marshal(config)
}

// unpacked returns a layer as it is hashed, without compression.
func unpacked(layer []byte) ([]byte, error) {
	if len(layer) == 0 {
		return nil, errors.New("it is not in the archive")
	}
	if !bytes.HasPrefix(layer, []byte{0x1f, 0x8b}) {
		return layer, nil
	}
	in, err := gzip.NewReader(bytes.NewReader(layer))
	if err != nil {
		return nil, err
	}
	return bounded(in, maxPart)
}

// bounded reads everything, and refuses input longer than most. It does not truncate, because a part of a layer would
// be an image that no engine loads.
func bounded(in io.Reader, most int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(in, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("it is longer than %d bytes", most)
	}
	return text, err
}

func writeArchive(out io.Writer, files map[string][]byte, at time.Time) error {
	archive := tar.NewWriter(out)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		header := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(files[name])), ModTime: at}
		if err := archive.WriteHeader(header); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		if _, err := archive.Write(files[name]); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return archive.Close()
}
