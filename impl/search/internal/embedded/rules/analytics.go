package rules

import "encoding/json"

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
