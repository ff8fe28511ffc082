package schema

import (
	"encoding/json"
	"slices"
)

// Alteration is a parsed PATCH /collections/{name}, with the changes in their order. It is also the response, in which every field has all
// its defaults.
type Alteration struct {
	Fields       []Altered       `json:"fields,omitempty"`
	Metadata     json.RawMessage `json:"metadata,omitempty"`
	SynonymSets  json.RawMessage `json:"synonym_sets,omitempty"`
	CurationSets json.RawMessage `json:"curation_sets,omitempty"`
}

// Altered drops the field Name, or adds Field.
type Altered struct {
	Drop  bool
	Name  string
	Field *Field
}

// MarshalJSON encodes the change as Typesense does, with keys that have no meaning here.
func (a Altered) MarshalJSON() ([]byte, error) {
	if a.Drop {
		return json.Marshal(map[string]any{"drop": true, "embed": nil, "name": a.Name})
	}
	body, err := a.Field.MarshalJSON()
	if err != nil {
		return nil, err
	}
	all := map[string]any{
		"async_reference": false, "embed": nil, "hnsw_params": map[string]int{"M": 16, "ef_construction": 200}, "nested": false, "nested_array": 0, "num_dim": 0,
		"range_index": false, "reference": "", "symbols_to_index": []string{}, "token_separators": []string{}, "vec_dist": "cosine",
	}
	var own map[string]json.RawMessage
	if err := json.Unmarshal(body, &own); err != nil {
		return nil, err
	}
	for k, v := range own {
		all[k] = v
	}
	return json.Marshal(all)
}

// Alter parses the body of a PATCH and returns the schema after it. The caller must check whether the documents fit.
func (s *Schema) Alter(body []byte, maxFields int) (*Schema, *Alteration, error) {
	var raw map[string]json.RawMessage
	if !json.Valid(body) {
		return nil, nil, refuse("Bad JSON.")
	}
	if json.Unmarshal(body, &raw) != nil || len(raw) == 0 {
		return nil, nil, refuse("Alter payload is empty.")
	}
	for name := range raw {
		switch name {
		case "fields", "metadata", "synonym_sets", "curation_sets":
		default:
			return nil, nil, refuse("Only `fields` and `metadata` can be updated at the moment.")
		}
	}
	next, a := *s, &Alteration{}
	next.Fields = slices.Clone(s.Fields)
	if v, ok := raw["metadata"]; ok {
		if json.Unmarshal(v, &map[string]json.RawMessage{}) != nil {
			return nil, nil, refuse("The `metadata` value should be an object.")
		}
		next.Metadata, a.Metadata = v, v
	}
	if err := next.sets(raw); err != nil {
		return nil, nil, err
	}
	a.SynonymSets, a.CurationSets = raw["synonym_sets"], raw["curation_sets"]
	if v, ok := raw["fields"]; ok {
		if err := next.alterFields(v, a); err != nil {
			return nil, nil, err
		}
	}
	if len(next.Fields) > maxFields {
		return nil, nil, &Error{422, "A collection of the embedded engine holds no more fields."}
	}
	return &next, a, next.finish()
}

const wrongFields = "Wrong format for `fields`. It should be an array of objects containing `name`, `type`, `optional` and `facet` properties."

func (s *Schema) alterFields(v json.RawMessage, a *Alteration) error {
	var list []map[string]json.RawMessage
	if json.Unmarshal(v, &list) != nil || len(list) == 0 {
		return refuse(wrongFields)
	}
	for _, raw := range list {
		var name string
		var drop bool
		if json.Unmarshal(raw["name"], &name) != nil || raw["drop"] != nil && json.Unmarshal(raw["drop"], &drop) != nil {
			return refuse(wrongFields)
		}
		if name == "id" {
			return refuse("Field `id` cannot be altered.")
		}
		at := slices.IndexFunc(s.Fields, func(f *Field) bool { return f.Name == name })
		if drop {
			if at < 0 {
				return refuse("Field `%s` is not part of collection schema.", name)
			}
			s.Fields = slices.Delete(s.Fields, at, at+1)
			a.Fields = append(a.Fields, Altered{Drop: true, Name: name})
			continue
		}
		if raw["type"] == nil {
			return refuse(wrongFields)
		}
		if at >= 0 && slices.ContainsFunc(a.Fields, func(o Altered) bool { return !o.Drop && o.Field.Name == name }) {
			return refuse("There are duplicate field names in the schema.")
		}
		if at >= 0 {
			return refuse("Field `%s` is already part of the schema: To change this field, drop it first before adding it back to the schema.", name)
		}
		f, err := parseField(raw)
		if err != nil {
			return err
		}
		if f.Nests() && !s.Nested {
			return errNested
		}
		if f.StemDictionary != "" && s.dictionary(f.StemDictionary) == nil {
			return errDictionary(f.StemDictionary)
		}
		s.Fields = append(s.Fields, f)
		a.Fields = append(a.Fields, Altered{Name: name, Field: f})
	}
	return nil
}
