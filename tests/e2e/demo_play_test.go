package e2e

// demoPlay is the embedded screenplay, for checkouts without the real plays.
var demoPlay = play{
	path: "../../internal/screenplay/demo.fountain", scope: "ledger",
	misspelt: "phosphoresent parlament", contain: "phosphorescent parliament of herring", character: "ILSE",
}
