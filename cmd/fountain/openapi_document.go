package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/internal/contract"
)

// maxDocuments limits a document with its files, in bytes, as the kms does.
const maxDocuments = 8 << 20

// document holds the flags that the commands for OpenAPI documents share.
type document struct {
	name string
	with []string
	open []string // operationIds of --public
}

func (d *document) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.name, "name", "", "name of the service, which is its path, the audience of its tokens and the prefix of its scopes; default: the name of the file")
	cmd.Flags().StringArrayVar(&d.with, "with", nil, "file that the document refers to; may be repeated")
	cmd.Flags().StringArrayVar(&d.open, "public", nil, "operationId of an operation that stays public, where the document says security: []; may be repeated")
}

// read reads a document with its files.
func (d *document) read(file string) (contract.Adoption, error) {
	a := contract.Adoption{Name: d.name, Files: map[string][]byte{}, Public: d.open}
	if a.Name == "" {
		a.Name = nameOf(file)
	}
	root, paths, err := commonFolder(append([]string{file}, d.with...))
	if err != nil {
		return a, err
	}
	left := int64(maxDocuments)
	for i, path := range paths {
		text, err := readBounded(path, left)
		if err != nil {
			return a, err
		}
		left -= int64(len(text))
		inside, err := filepath.Rel(root, path)
		if err != nil {
			return a, fmt.Errorf("%s: %w", path, err)
		}
		if inside = filepath.ToSlash(inside); i == 0 {
			a.File = inside
		}
		a.Files[inside] = text
	}
	return a, nil
}

// commonFolder returns the folder that holds all files, and their absolute paths.
func commonFolder(files []string) (root string, paths []string, err error) {
	for i, file := range files {
		path, err := filepath.Abs(file)
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", file, err)
		}
		if paths = append(paths, path); i == 0 {
			root = filepath.Dir(path)
		}
		for !strings.HasPrefix(path, strings.TrimSuffix(root, "/")+"/") {
			root = filepath.Dir(root)
		}
	}
	return root, paths, nil
}

func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read document: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, fmt.Errorf("read document: %w", err)
	}
	if int64(len(text)) > most {
		return nil, fmt.Errorf("the document and its files are larger than %d MiB", maxDocuments>>20)
	}
	return text, nil
}

var notOfAName = regexp.MustCompile(`[^a-z0-9]+`)

// nameOf derives a service name from a file name.
func nameOf(file string) string {
	base := strings.ToLower(filepath.Base(file))
	base, _, _ = strings.Cut(base, ".")
	return strings.Trim(notOfAName.ReplaceAllString(base, "-"), "-")
}

// compiled checks a document in the way the kms and the gateways do.
func compiled(a contract.Adoption) (*contract.Contract, []contract.Warning, error) {
	family, err := contract.LoadAll()
	if err != nil {
		return nil, nil, err
	}
	if err := contract.CheckMemberName(a.Name, family); err != nil {
		return nil, nil, usagef("%q can't be the service's name: %w; --name gives another", a.Name, err)
	}
	return contract.Adopt(a)
}
