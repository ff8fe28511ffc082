package main

import (
	"context"

	"github.com/fountainai/fountain/impl/gateway"
	"github.com/fountainai/fountain/impl/kms"
	"github.com/fountainai/fountain/impl/search"
	"github.com/fountainai/fountain/impl/sequence"
	"github.com/fountainai/fountain/impl/twofactor"
	"github.com/fountainai/fountain/internal/backup"
)

// programs creates the program of each service, before its settings are loaded.
var programs = map[string]func() *program{
	"kms": func() *program {
		var s struct {
			kms.Config
			Admin
		}
		return &program{
			word: "kms", settings: &s, service: &s.Service, admin: &s.Admin, redis: &s.Redis, rootKey: &s.RootKeyFile,
			validate: func() error { s.Version = version; return s.Config.Validate() },
			run:      func(ctx context.Context) error { return kms.Run(ctx, s.Config) },
			migrate:  func(ctx context.Context) error { return kms.Migrate(ctx, s.Config) },
			parts:    func() ([]backup.Part, error) { return onePart(kms.BackupPart(s.Config)) },
		}
	},
	"twofactor": func() *program {
		var s struct {
			twofactor.Config
			Admin
		}
		return &program{
			word: "twofactor", settings: &s, service: &s.Service, admin: &s.Admin,
			validate: func() error { s.Version = version; return s.Config.Validate() },
			run:      func(ctx context.Context) error { return twofactor.Run(ctx, s.Config) },
			migrate:  func(ctx context.Context) error { return twofactor.Migrate(ctx, s.Config) },
			parts:    func() ([]backup.Part, error) { return onePart(twofactor.BackupPart(s.Service)) },
			abandon:  func(ctx context.Context) error { return twofactor.AbandonDataKey(ctx, s.Service) },
		}
	},
	"search": func() *program {
		var s struct {
			search.Config
			Admin
		}
		return &program{
			word: "search", settings: &s, service: &s.Service, admin: &s.Admin,
			validate: func() error { s.Version = version; return s.Config.Validate() },
			run:      func(ctx context.Context) error { return search.Run(ctx, s.Config) },
			migrate:  func(ctx context.Context) error { return search.Migrate(ctx, s.Config) },
			parts:    func() ([]backup.Part, error) { return search.BackupParts(s.Config) },
			abandon:  func(ctx context.Context) error { return search.AbandonDataKey(ctx, s.Service) },
		}
	},
	"sequence": func() *program {
		var s struct {
			sequence.Config
			Admin
		}
		return &program{
			word: "sequence", settings: &s, service: &s.Service, admin: &s.Admin,
			validate: func() error { s.Version = version; return s.Config.Validate() },
			run:      func(ctx context.Context) error { return sequence.Run(ctx, s.Config) },
			migrate:  func(ctx context.Context) error { return sequence.Migrate(ctx, s.Config) },
			parts:    func() ([]backup.Part, error) { return onePart(sequence.BackupPart(s.Service)) },
			abandon:  func(ctx context.Context) error { return sequence.AbandonDataKey(ctx, s.Service) },
		}
	},
	"gateway": func() *program {
		var s struct {
			gateway.Config
			Admin
		}
		return &program{
			word: "gateway", settings: &s, service: &s.Service, admin: &s.Admin, redis: &s.Redis,
			validate: func() error { s.Version = version; return s.Config.Validate() },
			run:      func(ctx context.Context) error { return gateway.Run(ctx, s.Config) },
		}
	},
}

// onePart returns the only database of a service as a list.
func onePart(part backup.Part, err error) ([]backup.Part, error) { return []backup.Part{part}, err }
