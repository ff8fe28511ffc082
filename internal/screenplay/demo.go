package screenplay

import _ "embed" // for the screenplay below

//go:embed demo.fountain
var demo string

// Demo returns the short screenplay that is embedded in the program, in Fountain syntax. It was written for FountainAI and has the same licence.
func Demo() string { return demo }
