package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"sort"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Load fills cfg, a pointer to a struct with env tags, from the process's environment variables that begin with prefix, for example "FOUNTAIN_KMS_".
// A variable with the prefix that cfg does not know is an error, and so is a value that does not parse. All errors are reported together. Errors
// never contain values.
func Load(prefix string, cfg any) error {
	return LoadFrom(prefix, cfg, os.Environ())
}

// LoadFrom is Load with the environment given as "NAME=value" entries.
func LoadFrom(prefix string, cfg any, environ []string) error {
	values := make(map[string]string)
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, prefix) {
			values[name] = value
		}
	}
	options := env.Options{Prefix: prefix, Environment: values}
	fields, err := env.GetFieldParamsWithOptions(cfg, options)
	if err != nil {
		return fmt.Errorf("read settings of %s: %w", strings.TrimSuffix(prefix, "_"), err)
	}
	known := make(map[string]bool, len(fields))
	for _, f := range fields {
		if f.OwnKey != "" { // a nested struct itself is listed under the bare prefix
			known[f.Key] = true
		}
	}
	var errs []error
	for name := range values {
		if !known[name] {
			errs = append(errs, unknownName(name, known))
		}
	}
	if err := env.ParseWithOptions(cfg, options); err != nil {
		errs = append(errs, withoutValues(err, prefix, known)...)
	}
	sort.Slice(errs, func(i, j int) bool { return errs[i].Error() < errs[j].Error() })
	return errors.Join(errs...)
}

// unknownName returns the error for an unknown setting, with the most similar name that exists.
func unknownName(name string, known map[string]bool) error {
	best, distance := "", 4
	names := make([]string, 0, len(known))
	for k := range known {
		names = append(names, k)
	}
	slices.Sort(names)
	for _, k := range names {
		if d := editDistance(name, k); d < distance {
			best, distance = k, d
		}
	}
	if best != "" {
		return fmt.Errorf("%s: unknown setting; did you mean %s?", name, best)
	}
	return fmt.Errorf("%s: unknown setting", name)
}

// withoutValues reduces the library's errors to the setting and its expected type: the value may be a secret that was put into the wrong variable.
func withoutValues(err error, prefix string, known map[string]bool) []error {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return []error{errors.New("read settings: the environment does not parse")}
	}
	var out []error
	for _, e := range all.Errors {
		var parse env.ParseError
		if errors.As(e, &parse) {
			out = append(out, fmt.Errorf("%s: not a valid %s", settingOf(parse.Name, prefix, known), typeName(parse.Type)))
			continue
		}
		var missing env.VarIsNotSetError
		if errors.As(e, &missing) {
			out = append(out, fmt.Errorf("%s: required setting is missing", missing.Key))
			continue
		}
		out = append(out, fmt.Errorf("read settings: %T", e))
	}
	return out
}

// settingOf returns the name of the setting that fills a Go field; the library's error only names the field.
func settingOf(field, prefix string, known map[string]bool) string {
	for name := range known {
		if strings.EqualFold(strings.ReplaceAll(strings.TrimPrefix(name, prefix), "_", ""), field) {
			return name
		}
	}
	return "setting " + field
}

// typeName describes a type in words that an operator knows.
func typeName(t reflect.Type) string {
	if t == nil {
		return "value"
	}
	switch t.String() {
	case "time.Duration":
		return "duration, for example 5s"
	case "slog.Level":
		return "level: debug, info, warn or error"
	case "config.AccessLog":
		return "choice: all, sample:SHARE or failures"
	case "int", "int64":
		return "whole number"
	}
	return t.String()
}

// editDistance returns the Levenshtein distance of two short names.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		previous := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := previous
			if a[i-1] != b[j-1] {
				cost++
			}
			previous = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
