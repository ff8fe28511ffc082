package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/search"
)

// A misspelled member of a schema is refused by name instead of being dropped. The output of collections get is
// accepted as a schema.
func TestReadJSON_refusesMisspelledMembers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "books.json")
	read := func(text string) (want search.CollectionCreate, err error) {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return want, readJSON(file, &want, &search.Collection{}, &search.CollectionSchema{})
	}
	want, err := read(`{"name": "books", "fields": [{"name": "title", "type": "string", "facet": true}]}`)
	require.NoError(t, err)
	require.True(t, *want.Fields[0].Facet)

	_, err = read(`{"name": "books", "fields": [{"name": "title", "type": "string", "facets": true}]}`)
	require.EqualError(t, err, file+`: unknown member "facets"`)
	_, err = read(`{"name": "books", "fields": [], "default_sorting_field": "year"}`)
	require.EqualError(t, err, file+`: unknown member "default_sorting_field"`)
	_, err = read(`{"name": "books", "owner": "administrators", "documents": 3, "fields": [{"name": "title", "type": "string", "facets": true}]}`)
	require.Error(t, err)
	_, err = read(`{"name": "books"} {}`)
	require.ErrorContains(t, err, file)

	want, err = read(`{"access": "own", "createdAt": "2026-11-30T05:46:46Z", "documents": 3, "fields": [{"name": "title", "type": "string"}], "name": "books", "owner": "administrators", "tenantScoped": false}`)
	require.NoError(t, err)
	require.Equal(t, "books", want.Name)
	want, err = read(`{"changes": [], "collection": "books", "fields": [{"name": "title", "type": "string"}], "remedy": "none", "version": 2}`)
	require.NoError(t, err)
	require.Len(t, want.Fields, 1)
}
