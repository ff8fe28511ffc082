package recorder

import (
	"bytes"
	"encoding/json"
)

func decode(body []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	var value any
	return value, dec.Decode(&value)
}
