package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/fountainai/fountain/impl/kms"
	"github.com/fountainai/fountain/impl/search"
	"github.com/fountainai/fountain/impl/sequence"
	"github.com/fountainai/fountain/impl/twofactor"
	"github.com/fountainai/fountain/internal/backup"
	"github.com/fountainai/fountain/internal/config"
)

// places says where the services store what a backup contains.
type places struct {
	kms       kms.Config
	documents string        // directory of the embedded search engine; "" if search uses a Typesense
	parts     []backup.Part // the kms first, so that it has everything the others recorded of it; sequence last, because search is rebuilt from it
}

// findPlaces reads the places from the settings of the services (FOUNTAIN_<SERVICE>_...). A service without its own
// data directory uses that of fountain up. given says that --data was set, which then applies to all services. If
// neither --data nor FOUNTAIN_DATA is set, the environment must name the directories of all services or of none.
// Otherwise an archive could combine services of one installation with services of another one in the working
// directory.
func findPlaces(data string, given bool) (*places, error) {
	var settings struct { // all settings of serve, because backups run in its environment
		kms struct {
			kms.Config
			Admin
		}
		twofactor struct {
			twofactor.Config
			Admin
		}
		search struct {
			search.Config
			Admin
		}
		sequence struct {
			sequence.Config
			Admin
		}
	}
	var own, missing []string
	for _, one := range []struct {
		word    string
		into    any
		service *config.Service
	}{
		{"kms", &settings.kms, &settings.kms.Service},
		{"twofactor", &settings.twofactor, &settings.twofactor.Service},
		{"search", &settings.search, &settings.search.Service},
		{"sequence", &settings.sequence, &settings.sequence.Service},
	} {
		if err := config.Load("FOUNTAIN_"+strings.ToUpper(one.word)+"_", one.into); err != nil {
			return nil, &usageError{err}
		}
		name := "FOUNTAIN_" + strings.ToUpper(one.word) + "_DATA_DIR"
		if one.service.DataDir == "" {
			missing = append(missing, name)
		} else {
			own = append(own, name)
		}
		if one.service.DataDir == "" || given {
			one.service.DataDir = filepath.Join(data, one.word)
		}
		one.service.Log = slog.New(slog.DiscardHandler)
	}
	if len(own) > 0 && len(missing) > 0 && !given && os.Getenv("FOUNTAIN_DATA") == "" {
		return nil, usagef("%s is set and %s is not: set those of all services, or name the data directory of fountain up with --data", strings.Join(own, ", "), strings.Join(missing, ", "))
	}
	p := &places{kms: settings.kms.Config}
	if p.kms.RootKeyFile == "" {
		p.kms.RootKeyFile = filepath.Join(p.kms.DataDir, "root.key")
	}
	return p, p.collect(settings.twofactor.Service, settings.search.Config, settings.sequence.Service)
}

func (p *places) collect(t config.Service, s search.Config, q config.Service) error {
	first, err := kms.BackupPart(p.kms)
	if err != nil {
		return err
	}
	second, err := twofactor.BackupPart(t)
	if err != nil {
		return err
	}
	searches, err := search.BackupParts(s)
	if err != nil {
		return err
	}
	if s.EngineURL == "" {
		p.documents = filepath.Join(s.DataDir, "engine")
	}
	last, err := sequence.BackupPart(q)
	if err != nil {
		return err
	}
	p.parts = append(append([]backup.Part{first, second}, searches...), last)
	return nil
}

// documentsGone explains a failed backup if the documents directory does not exist although search should have one.
func (p *places) documentsGone(err error) error {
	if !errors.Is(err, fs.ErrNotExist) || p.documents == "" || exists(p.documents) {
		return err
	}
	if !exists(filepath.Dir(p.documents)) { // the environment of one service alone, as in a container
		return fmt.Errorf("a backup needs the databases of all services, and %s has none of search: set --data, or FOUNTAIN_<SERVICE>_DATA_DIR and ..._DATABASE_URL_FILE of each service: %w", filepath.Dir(p.documents), err)
	}
	return fmt.Errorf("the documents of the embedded search engine are not in %s; if search uses a Typesense, run this command with FOUNTAIN_SEARCH_ENGINE_URL as the service has it: %w", p.documents, err)
}

// scratch returns places in an empty directory, on SQLite, for the parts of an archive.
func scratch(dir string) (*places, error) {
	p := &places{kms: kms.Config{Service: config.Service{DataDir: filepath.Join(dir, "kms"), Log: slog.New(slog.DiscardHandler)}}}
	at := func(word string) config.Service {
		return config.Service{DataDir: filepath.Join(dir, word), Log: slog.New(slog.DiscardHandler)}
	}
	p.kms.RootKeyFile = filepath.Join(dir, "none")
	return p, p.collect(at("twofactor"), search.Config{Service: at("search")}, at("sequence"))
}

// only removes the parts that an archive does not contain.
func (p *places) only(m backup.Manifest) {
	held := map[string]bool{}
	for _, c := range m.Parts {
		held[c.Name] = true
	}
	var kept []backup.Part
	for _, part := range p.parts {
		if held[part.Name] {
			kept = append(kept, part)
		}
	}
	p.parts = kept
}

// dataFlag returns the default of --data.
func dataFlag() string { return env("FOUNTAIN_DATA", "./data") }

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
