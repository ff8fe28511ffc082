package member

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"
)

const (
	directorySource = "the contracts directory"
	sayingFile      = "member.yaml"   // in the folder of a member
	lookEvery       = time.Second     // between two checks of the directory
	maxSaying       = 64 << 10        // bytes of member.yaml
	maxFiles        = 32              // per member
	maxText         = 8 << 20         // bytes of all files of a member
	maxMembers      = 200             // folders; further ones, by name, are not read
	maxEntries      = 1000            // files and folders in a member's folder
	maxAcceptances  = 1000            // accepted changes, and public operations, of a member
	settle          = 2 * time.Second // how long files must be unchanged before they are read, so that none is read half written
)

// Directory reads members from the folders of a directory. A folder's name is the member's name; it has member.yaml and the files of the contract. The
// directory is checked for changes every second, and at once on a signal.
type Directory struct {
	registry *Registry
	root     *os.Root
	log      *slog.Logger
	now      <-chan os.Signal
	seen     string // mark of the last read; "" forces a read
	more     int    // number of folders that are not read
	unread   prometheus.Gauge
}

// NewDirectory returns a source for an existing directory. A value from now triggers a read at once. Links that lead out of the directory are not followed.
func NewDirectory(r *Registry, dir string, now <-chan os.Signal) (*Directory, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the contracts directory: %w", err)
	}
	d := &Directory{registry: r, root: root, now: now, log: r.Log, unread: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "fountain_gateway_contract_folders_unread", Help: "Folders of the contracts directory that are not read because there are too many.",
	})}
	r.Registerer.MustRegister(d.unread)
	return d, nil
}

// memberFile is the content of member.yaml.
type memberFile struct {
	Contract      string   `yaml:"contract"`
	Upstreams     []string `yaml:"upstreams"`
	Public        []string `yaml:"public"`
	ActiveContent bool     `yaml:"activeContent"`
	Accept        []string `yaml:"accept"`
	Disabled      bool     `yaml:"disabled"`
	Shadow        string   `yaml:"shadow"`
}

// Run reads the directory, and again after each change, until ctx ends.
func (d *Directory) Run(ctx context.Context) error {
	defer d.root.Close()
	ticks := time.NewTicker(lookEvery)
	defer ticks.Stop()
	failed := ""
	for {
		if err := d.read(); err == nil {
			failed = ""
		} else if err.Error() != failed {
			failed = err.Error()
			d.log.ErrorContext(ctx, "contracts directory can't be read; the members stay as they are", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
		case <-d.now:
			d.seen = ""
		}
	}
}

// read updates the members if the directory has changed and its files have settled.
func (d *Directory) read() error {
	names, more, err := d.names()
	if err != nil {
		return err
	}
	d.reportUnread(more)
	mark, youngest, err := d.mark(names)
	if err != nil {
		return err
	}
	if d.seen != "" && (mark == d.seen || time.Since(youngest) < settle) {
		return nil
	}
	var definitions []Definition
	var wrong error
	for _, name := range names {
		definition, err := d.member(name)
		if err != nil {
			wrong = errors.Join(wrong, fmt.Errorf("%s: %w", name, err))
			definition = d.registry.Kept(directorySource, name)
			if definition.Name == "" {
				continue
			}
		}
		definitions = append(definitions, definition)
	}
	d.seen = mark
	_ = d.registry.Replace(directorySource, definitions) // the registry reports refused definitions itself
	return wrong
}

// names returns the first maxMembers folders by name, and the number of further ones.
func (d *Directory) names() (names []string, more int, err error) {
	dir, err := d.root.Open(".")
	if err != nil {
		return nil, 0, fmt.Errorf("open the directory: %w", err)
	}
	defer dir.Close()
	for {
		entries, err := dir.ReadDir(1000)
		for _, e := range entries {
			if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
				names = append(names, e.Name())
			}
		}
		slices.Sort(names)
		if rest := len(names) - maxMembers; rest > 0 {
			names, more = names[:maxMembers], more+rest
		}
		switch {
		case errors.Is(err, io.EOF):
			return names, more, nil
		case err != nil:
			return nil, 0, fmt.Errorf("list the directory: %w", err)
		}
	}
}

// reportUnread reports folders that are not read because there are too many.
func (d *Directory) reportUnread(more int) {
	d.unread.Set(float64(more))
	if more != d.more && more > 0 {
		d.log.Error("contracts directory has more folders than the limit; the last ones by name are not guarded", "read", maxMembers, "unread", more)
	}
	d.more = more
}

// mark returns a hash that changes with the members' files, and the time of the latest change.
func (d *Directory) mark(names []string) (mark string, youngest time.Time, err error) {
	sum := sha256.New()
	note := func(name string, info fs.FileInfo) {
		fmt.Fprintln(sum, name, info.Size(), info.ModTime().UnixNano(), info.Mode())
		if info.ModTime().After(youngest) && !info.ModTime().After(time.Now()) {
			youngest = info.ModTime()
		}
	}
	root, err := d.root.Stat(".") // only this shows that a folder was removed
	if err != nil {
		return "", time.Time{}, fmt.Errorf("look at the directory: %w", err)
	}
	note(".", root)
	for _, name := range names {
		fmt.Fprintln(sum, name)
		err := d.walk(name, func(at string, _ fs.DirEntry) error {
			info, err := d.root.Stat(at)
			if err != nil { // a link that leads out or nowhere: reading this member fails, the others are not affected
				if info, err = d.root.Lstat(at); err != nil {
					return err
				}
			}
			note(at, info)
			return nil
		})
		if err != nil && !errors.Is(err, errManyFiles) { // reading the member reports it
			return "", time.Time{}, fmt.Errorf("look at the files: %w", err)
		}
	}
	return string(sum.Sum(nil)), youngest, nil
}

// errManyFiles says that a member's folder has more entries than are read.
var errManyFiles = fmt.Errorf("the folder holds more than %d files and folders", maxEntries)

// walk visits a folder and everything below it in the order of names, except hidden entries. It returns errManyFiles beyond maxEntries.
func (d *Directory) walk(folder string, visit func(at string, e fs.DirEntry) error) error {
	info, err := d.root.Stat(folder)
	if err != nil {
		return err
	}
	if err := visit(folder, fs.FileInfoToDirEntry(info)); err != nil {
		return err
	}
	left := maxEntries
	return d.below(folder, &left, visit)
}

func (d *Directory) below(folder string, left *int, visit func(at string, e fs.DirEntry) error) error {
	dir, err := d.root.Open(folder)
	if err != nil {
		return err
	}
	entries, err := dir.ReadDir(*left + 1)
	_ = dir.Close()
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if *left -= len(entries); *left < 0 {
		return errManyFiles
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		at := path.Join(folder, e.Name())
		if err := visit(at, e); err != nil {
			return err
		}
		if e.IsDir() {
			if err := d.below(at, left, visit); err != nil {
				return err
			}
		}
	}
	return nil
}

// member reads the member of a folder.
func (d *Directory) member(name string) (Definition, error) {
	raw, err := d.file(path.Join(name, sayingFile), maxSaying)
	if err != nil {
		return Definition{}, err
	}
	var s memberFile
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	decoder.KnownFields(true)
	if err := decoder.Decode(&s); err != nil {
		return Definition{}, fmt.Errorf("%s: %w", sayingFile, err)
	}
	if len(s.Accept) > maxAcceptances || len(s.Public) > maxAcceptances {
		return Definition{}, fmt.Errorf("%s: accept and public have at most %d names", sayingFile, maxAcceptances)
	}
	files, err := d.texts(name)
	if err != nil {
		return Definition{}, err
	}
	for _, document := range []string{s.Contract, s.Shadow} {
		if document != "" && files[document] == nil || document == "" && s.Contract == "" {
			return Definition{}, fmt.Errorf("%s: contract and shadow name files of the folder", sayingFile)
		}
	}
	definition := Definition{
		Name: name, File: s.Contract, Files: files, Upstreams: s.Upstreams, Public: s.Public, ActiveContent: s.ActiveContent, Accept: s.Accept, Disabled: s.Disabled,
	}
	if s.Shadow != "" {
		definition.Shadow = &Text{File: s.Shadow, Files: files, Public: s.Public}
	}
	return definition, nil
}

// texts reads the contract files of a folder and its subfolders, by their relative paths.
func (d *Directory) texts(name string) (map[string][]byte, error) {
	files, left := map[string][]byte{}, int64(maxText)
	err := d.walk(name, func(at string, e fs.DirEntry) error {
		if e.IsDir() || at == path.Join(name, sayingFile) || !slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(at)) {
			return nil
		}
		text, err := d.file(at, left)
		if err != nil {
			return err
		}
		if left -= int64(len(text)); len(files) == maxFiles {
			return fmt.Errorf("there are more than %d files", maxFiles)
		}
		files[strings.TrimPrefix(at, name+"/")] = text
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the contract's files: %w", err)
	}
	return files, nil
}

// file reads a regular file of at most most bytes.
func (d *Directory) file(name string, most int64) ([]byte, error) {
	f, err := d.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // otherwise opening a named pipe would block
	if err != nil {
		return nil, fmt.Errorf("open file: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", name)
	}
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(text)) > most {
		return nil, fmt.Errorf("%s: the files are larger than %d bytes together", name, most)
	}
	return text, nil
}
