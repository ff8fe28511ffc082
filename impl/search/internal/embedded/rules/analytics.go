package rules

import (
	"encoding/json"

	"github.com/fountainai/fountain/impl/search/internal/embedded/settings"
)

// Analytics is a rule of analytics. It is kept and shown: this engine counts no queries.
type Analytics struct {
	Name   string                     `json:"name"`
	Params map[string]json.RawMessage `json:"params"`
	Type   string                     `json:"type"`
}

// ParseAnalytics reads the body of POST /analytics/rules, or with a name that of PUT /analytics/rules/{name}.
func ParseAnalytics(name string, body []byte) (Analytics, error) {
	raw, err := object(body)
	if err != nil {
		return Analytics{}, err
	}
	a := Analytics{Name: name}
	if name == "" && !rawText(raw["name"], &a.Name) || a.Name == "" {
		return a, refuse("Bad or missing name.")
	}
	if !rawText(raw["type"], &a.Type) {
		return a, refuse("Bad or missing type.")
	}
	if json.Unmarshal(raw["params"], &a.Params) != nil || a.Params == nil {
		return a, refuse("Bad or missing params.")
	}
	switch a.Type {
	case "popular_queries", "nohits_queries", "counter", "log":
	default:
		return a, refuse("Invalid type.")
	}
	if a.Params["source"] == nil {
		return a, refuse("Bad or missing source.")
	}
	if a.Type != "log" && a.Params["destination"] == nil {
		return a, refuse("Bad or missing destination.")
	}
	if a.Type == "popular_queries" || a.Type == "nohits_queries" { // the documented defaults
		for key, def := range map[string]string{"limit": "1000", "expand_query": "false"} {
			if a.Params[key] == nil {
				a.Params[key] = json.RawMessage(def)
			}
		}
	}
	return a, nil
}

// CheckEvent reads the body of POST /analytics/events, whose name must be that of an event in one of the rules.
func CheckEvent(body []byte, list []settings.Record) error {
	raw, err := object(body)
	if err != nil {
		return err
	}
	var name, kind string
	if !rawText(raw["name"], &name) || !rawText(raw["type"], &kind) || raw["data"] == nil {
		return refuse("Bad or missing `type`, `name` or `data`.")
	}
	for _, record := range list {
		var rule struct {
			Params struct {
				Source struct {
					Events []struct {
						Name string `json:"name"`
					} `json:"events"`
				} `json:"source"`
			} `json:"params"`
		}
		if json.Unmarshal(record.Body, &rule) != nil {
			continue // its events have another form
		}
		for _, event := range rule.Params.Source.Events {
			if event.Name == name {
				return nil
			}
		}
	}
	return refuse("No analytics rule defined for event name " + name)
}
