package rules

import (
	"encoding/json"
	"strconv"

	"github.com/fountainai/fountain/impl/search/internal/embedded/settings"
)

// Analytics is an analytics rule, as it is stored and shown.
type Analytics struct {
	Name   string                     `json:"name"`
	Params map[string]json.RawMessage `json:"params"`
	Type   string                     `json:"type"`
}

// ParseAnalytics parses the body of POST /analytics/rules, or, with a name, that of PUT /analytics/rules/{name}.
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
		for key, def := range map[string]string{"limit": strconv.Itoa(usuallyKept), "expand_query": "false"} {
			if a.Params[key] == nil {
				a.Params[key] = json.RawMessage(def)
			}
		}
	}
	return a, nil
}

// Counting is what an analytics rule counts, and where.
type Counting struct {
	Name string
	// Type is popular_queries, nohits_queries or counter.
	Type string
	// Collections are the collections whose searches count. Automatic reports that searches count by themselves, and not only those sent as
	// events.
	Collections []string
	Automatic   bool
	Events      []CountedEvent
	// Destination is the collection that holds the counts: the Limit most frequent queries, or for documents the field Field.
	Destination, Field string
	Limit              int
}

// CountedEvent is an event that a rule counts.
type CountedEvent struct {
	Name, Type string
	Weight     float64
}

// maxKept limits the queries of one rule. usuallyKept is the default, if the rule has no valid number.
const (
	maxKept     = 100_000
	usuallyKept = 1000
)

// Countings returns what rules count. Rules that don't have the documented format, or that only log, count nothing.
func Countings(list []settings.Record) (out []Counting) {
	for _, record := range list {
		var raw struct {
			Name, Type string
			Params     struct {
				Source struct {
					Collections []string
					Automatic   *bool `json:"enable_auto_aggregation"`
					Events      []CountedEvent
				}
				Destination struct {
					Collection string
					Field      string `json:"counter_field"`
				}
				Limit int
			}
		}
		if json.Unmarshal(record.Body, &raw) != nil || raw.Params.Destination.Collection == "" {
			continue
		}
		p := raw.Params
		if p.Limit <= 0 {
			p.Limit = usuallyKept
		}
		c := Counting{
			Name: raw.Name, Type: raw.Type, Collections: p.Source.Collections, Automatic: p.Source.Automatic == nil || *p.Source.Automatic, Events: p.Source.Events,
			Destination: p.Destination.Collection, Field: p.Destination.Field, Limit: min(p.Limit, maxKept),
		}
		if c.Type == "popular_queries" || c.Type == "nohits_queries" || c.Type == "counter" && c.Field != "" {
			out = append(out, c)
		}
	}
	return out
}

// CheckEvent checks the body of POST /analytics/events, whose name must be that of an event in one of the rules.
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
			continue // its events have another format
		}
		for _, event := range rule.Params.Source.Events {
			if event.Name == name {
				return nil
			}
		}
	}
	return refuse("No analytics rule defined for event name " + name)
}
