package store

import "github.com/fountainai/fountain/internal/store"

// Tables are the tables of this service, each with what bounds its size.
var Tables = []store.Table{
	{Name: "challenges", Bound: "deleted after 24 hours"},
	{Name: "data_keys", Bound: "one row"},
	{Name: "deliveries", Bound: "deleted after 30 days"},
	{Name: "factors", Bound: "a few for each user; pending ones deleted after 24 hours, revoked ones after 30 days"},
	{Name: "passkey_challenges", Bound: "one for each session; deleted after an hour"},
	{Name: "passkey_sign_ins", Bound: "one for each sign-in by a passkey; deleted after a day"},
	{Name: "proof_keys", Bound: "one row"},
	{Name: "recovery_codes", Bound: "ten for each user"},
	{Name: "restore_mark", Bound: "one row"},
	{Name: "send_counters", Bound: "a few for each subject, address and range of numbers; deleted when their window ends, 30 days at most"},
	{Name: "session_tries", Bound: "deleted after two days"},
	{Name: "subjects", Bound: "one for each user with factors; others deleted when their wrong codes are 50 days old at most"},
	{Name: "used_steps", Bound: "deleted after two days and an hour"},
}
