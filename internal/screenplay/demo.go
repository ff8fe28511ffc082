package screenplay

import _ "embed" // for the screenplay below

//go:embed demo.fountain
var demo string

// Demo returns the short screenplay that comes with the program, in Fountain
// syntax. It was written for FountainAI and is under the same licence.
func Demo() string { return demo }
