package contract

import (
	"slices"
	"strings"
)

// The keys that OpenAPI 3.0 to 3.2 and the drafts of JSON Schema know at each place. Keys that begin with x- are not checked.
var (
	documentKeys  = []string{"openapi", "$self", "info", "jsonSchemaDialect", "servers", "paths", "webhooks", "components", "security", "tags", "externalDocs"}
	pathKeys      = append([]string{"$ref", "summary", "description", "servers", "parameters", "query", "additionalOperations"}, adoptedMethods...)
	operationKeys = []string{"tags", "summary", "description", "externalDocs", "operationId", "parameters", "requestBody", "responses", "callbacks", "deprecated",
		"security", "servers"}
	parameterKeys = []string{"$ref", "name", "in", "summary", "description", "required", "deprecated", "allowEmptyValue", "style", "explode", "allowReserved", "schema",
		"example", "examples", "content"}
	bodyKeys     = []string{"$ref", "summary", "description", "content", "required"}
	mediaKeys    = []string{"schema", "itemSchema", "example", "examples", "encoding", "prefixEncoding", "itemEncoding", "description", "summary", "$ref"}
	responseKeys = []string{"$ref", "summary", "description", "headers", "content", "links"}
	schemaKeys   = []string{"$schema", "$id", "id", "$ref", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor", "$vocabulary", "$comment", "$defs", "definitions",
		"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependentRequired", "dependencies", "prefixItems", "items", "additionalItems", "contains",
		"properties", "patternProperties", "additionalProperties", "propertyNames", "unevaluatedItems", "unevaluatedProperties",
		"type", "enum", "const", "multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "maxLength", "minLength", "pattern", "maxItems", "minItems",
		"uniqueItems", "maxContains", "minContains", "maxProperties", "minProperties", "required",
		"format", "contentEncoding", "contentMediaType", "contentSchema", "title", "description", "default", "deprecated", "readOnly", "writeOnly", "examples", "example",
		"nullable", "discriminator", "xml", "externalDocs"}
)

// maxUnknownKeys is how many unknown keys are compared with the known ones: enough for people's typing errors, and a bound on the work that a
// document can cause.
const maxUnknownKeys = 2000

// misspelled warns of unknown keys that resemble known ones: they would be ignored silently.
func (b *adopter) misspelled(kind string, e *element, known []string) {
	if e == nil || e.kind != elementMap {
		return
	}
	for i, name := range e.names {
		if strings.HasPrefix(name, "x-") || slices.Contains(known, name) {
			continue
		}
		if b.unknownKeys++; b.unknownKeys > maxUnknownKeys {
			return
		}
		if meant := closest(name, known); meant != "" && e.get(meant) == nil {
			b.warn(kind, e.items[i], "write "+meant, "the key %s is unknown here; it is ignored", shortened(name))
		}
	}
}

// closest returns the word that a misspelled one most likely stands for, or "".
func closest(name string, known []string) string {
	for _, word := range known {
		if strings.EqualFold(name, strings.TrimPrefix(word, "$")) {
			return word
		}
	}
	best, least := "", 3
	for _, word := range known {
		most := 2
		if len(word) < 6 || len(name) < 6 {
			most = 1
		}
		if shorter := min(len(word), len(name)); shorter < 3 || shorter == 3 && len(word) != len(name) { // a note is no not
			continue
		}
		if d := distance(name, word, most); d <= most && d < least {
			best, least = word, d
		}
	}
	return best
}

// distance returns how many letters must be inserted, deleted, changed or swapped with the next one to turn one word into the other. Beyond most it
// may return any larger number.
func distance(a, b string, most int) int {
	if len(a)-len(b) > most || len(b)-len(a) > most {
		return most + 1
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			changed := last[j-1]
			if a[i-1] != b[j-1] {
				changed++
			}
			row[j] = min(last[j]+1, row[j-1]+1, changed)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// boolean returns whether a keyword is true. A value that is not a boolean counts as missing, with a warning.
func (b *adopter) boolean(kind string, e *element, keyword string) bool {
	at := e.get(keyword)
	if at != nil && at.kind != elementBool {
		b.warn(kind, at, "write true or false, without quotes", "%s is neither true nor false; it is read as false", keyword)
	}
	return at.is(true)
}
