package kmsdb

import "github.com/fountainai/fountain/internal/store"

// Tables are the kms's own, with what bounds each.
var Tables = []store.Table{
	{Name: "administration", Bound: "one row"},
	{Name: "api_keys", Bound: "100 that work for each owner; deleted 30 days after their end"},
	{Name: "authorization_codes", Bound: "deleted an hour after they expire, or with their session"},
	{Name: "bootstrap_tokens", Bound: "deleted when the next is made, or an hour is over"},
	{Name: "clients", Bound: "200"},
	{Name: "consents", Bound: "one for each user and client"},
	{Name: "contract_documents", Bound: "a live one and a shadow for each contract, 64 MiB together"},
	{Name: "contract_room", Bound: "one row"},
	{Name: "contracts", Bound: "200"},
	{Name: "declared_scopes", Bound: "32 for each registered service"},
	{Name: "enrolment_tokens", Bound: "deleted long after their end"},
	{Name: "invitations", Bound: "deleted 30 days after their end"},
	{Name: "keysets", Bound: "one for each purpose, and each service with data keys"},
	{Name: "login_guard", Bound: "deleted after 24 hours; the newest million"},
	{Name: "mail_carrier", Bound: "one row"},
	{Name: "mails", Bound: "ordered by administrators; deleted 7 days after they are of no use"},
	{Name: "password_resets", Bound: "deleted 30 days after their end"},
	{Name: "proof_keys", Bound: "made by administrators and twofactor alone"},
	{Name: "proofs", Bound: "deleted a minute after they expire"},
	{Name: "refresh_families", Bound: "deleted after 7 days, after 5 minutes those whose second factor did not come; 100 of web apps that live for each person's session"},
	{Name: "refresh_tokens", Bound: "go with their session; the newest thousand used ones of each"},
	{Name: "restore_mark", Bound: "one row"},
	{Name: "revocation_head", Bound: "one row"},
	{Name: "revocations", Bound: "deleted when no token can exist any more that they end; records of voided factors after 90 days, changes of contracts after a day"},
	{Name: "role_policies", Bound: "one for each role"},
	{Name: "roles", Bound: "200"},
	{Name: "secret_versions", Bound: "written by administrators and services alone"},
	{Name: "secrets", Bound: "written by administrators and services alone"},
	{Name: "services", Bound: "made by administrators alone; deleted ones keep their name"},
	{Name: "settings", Bound: "a handful"},
	{Name: "signing_keys", Bound: "two, and those of past rotations"},
	{Name: "users", Bound: "made by administrators alone; deleted ones keep their name"},
}
