package openapi_test

import (
	"testing"

	"github.com/fountainai/fountain/internal/contract/lint"
	"github.com/fountainai/fountain/openapi"
)

func TestContracts_keepTheHouseRules(t *testing.T) {
	for _, finding := range lint.Check(openapi.Files, openapi.Words()...) {
		t.Error(finding)
	}
}

func TestRead_knowsTheFamilyAndItsCommonFile(t *testing.T) {
	for _, word := range append(openapi.Words(), "common") {
		if text, err := openapi.Read(word); err != nil || len(text) == 0 {
			t.Errorf("%s: %v", word, err)
		}
	}
	for _, word := range []string{"", "../go", "nosuch"} {
		if _, err := openapi.Read(word); err == nil {
			t.Errorf("%q was read", word)
		}
	}
}
