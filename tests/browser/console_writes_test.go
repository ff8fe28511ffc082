//go:build browser

package browser

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/search"
	"github.com/fountainai/fountain/clients/sequence"
)

// A write is what a view of the console offers, as a person meets it: refused first, then done, by a second factor where the contract asks for one.
type write struct {
	file  string // of the source, in console/app/src
	title string // of its dialog, as the source has it; "" where the form stands in the view
	call  string // the operation: service, method and path of the contract
	view  string // what stands behind "#/" in the address, with names of what there is in braces
	press string // the button of the view, or how it begins, with "..." behind; "" where the form stands there
	fill  func(*theatre)
	label string // the button that does it

	told string // a part of the words of the refusal, where its code has no words of its own
	code string // of the refusal, which comes about in one of the four ways below; in all but the last it is a service that refuses
	// wrong fills in what is refused, and fill mends it.
	wrong func(*theatre)
	// meddles does in ada's name what makes it too late; the dialog is opened anew then.
	meddles func(*theatre) error
	// roleless: grace has lost her role meanwhile, and gets it back.
	roleless bool
	// injected: she comes by no refusal of this operation, so the browser is answered in the service's place.
	injected bool

	before func(*theatre)
	after  func(*theatre) // what before has stopped goes on

	soon   bool   // mails are sent while twofactor has asked for them in the last two minutes: not the clock is moved, the page takes it for later
	asks   bool   // for a second factor, where the contract leaves that to the service ("dynamic")
	shows  string // the title of what is shown once, before it is done
	closes string // the button that ends that; "" is "I have saved it"
	done   string // what the page says in the end
}

// says is what a refusal is told in, by its code: what happened, or what to do.
var says = map[string]string{
	"already_exists": "", "validation_failed": "", "state_conflict": "", "invalid_body": "The body does not match the contract.", "precondition_failed": "changed", "not_found": "There is no such",
	"insufficient_scope":  "The access token lacks a scope that this operation needs.",
	"invalid_credentials": "The user name or password is incorrect.", "unavailable": "Try again in a moment.",
}

// types returns what fills these fields with these texts: a label, then a text, and so on. A text that is "+" ticks the box.
func types(labelsAndTexts ...string) func(*theatre) {
	return func(h *theatre) {
		h.t.Helper()
		for at := 0; at < len(labelsAndTexts); at += 2 {
			if label, text := labelsAndTexts[at], labelsAndTexts[at+1]; text == "+" {
				h.ticks(label)
			} else {
				h.fills(label, text)
			}
		}
	}
}

// changesUser has somebody change edsger's account.
func changesUser(h *theatre) error {
	user, err := h.admin.KMS.GetUser(h.t.Context(), h.ids["edsger"])
	if err != nil {
		return err
	}
	_, err = h.admin.KMS.UpdateUser(h.t.Context(), user.ID, fountain.IfMatch(user.Version), kms.UserUpdate{Email: fountain.Ptr("edsger@example.org")})
	return err
}

// changesService has somebody change the service reports.
func changesService(h *theatre) error {
	one, err := h.admin.KMS.GetService(h.t.Context(), h.ids["reports"])
	if err != nil {
		return err
	}
	_, err = h.admin.KMS.UpdateService(h.t.Context(), one.ID, fountain.IfMatch(one.Version), kms.ServiceUpdate{DeclaredScopes: &[]string{"reports:read", "reports:write"}})
	return err
}

// reindexStands begins a reindex of the plays that does not come to its end: the engine takes none of its documents.
func reindexStands(h *theatre) {
	h.t.Helper()
	h.engine.holds()
	_, err := h.admin.Search.StartReindex(h.t.Context(), "plays", search.ReindexStart{})
	require.NoError(h.t, err)
}

// reindexGoesOn lets the engine take documents again. What was aborted stays so.
func reindexGoesOn(h *theatre) {
	h.t.Helper()
	h.engine.letsPass()
	list, err := h.admin.Search.ListReindexes(h.t.Context(), "plays", &search.ListReindexesParams{})
	require.NoError(h.t, err)
	require.Len(h.t, list.Items, 1)
	require.Equal(h.t, search.ReindexStateAborted, list.Items[0].State)
}

// reindexIsDone waits until a reindex of the plays is over, so that the page offers to roll it back.
func reindexIsDone(h *theatre) {
	h.t.Helper()
	require.Eventually(h.t, func() bool {
		list, err := h.admin.Search.ListReindexes(h.t.Context(), "plays", &search.ListReindexesParams{})
		return err == nil && slices.ContainsFunc(list.Items, func(one search.Reindex) bool { return one.OldKeptUntil != nil })
	}, time.Minute, 50*time.Millisecond)
}

var userWrites = []write{
	{file: "views/users.tsx", title: "Create user", call: "kms POST /users", view: "users", press: "Create user", label: "Create user", code: "already_exists", told: "The username is taken.",
		wrong: types("User name", "ada", "Initial password", password), fill: types("User name", "ken"), done: "User ken created."},
	{file: "views/users.tsx", title: "Roles of ${name}", call: "kms PATCH /users/{userId}", view: "users/{edsger}", press: "Update roles", label: "Update roles", code: "precondition_failed",
		meddles: changesUser, fill: types("editor", "+"), done: "Roles of edsger updated."},
	{file: "views/users.tsx", title: "Disable ${name}?", call: "kms PATCH /users/{userId}", view: "users/{edsger}", press: "Disable", label: "Disable", code: "precondition_failed",
		meddles: changesUser, done: "edsger disabled."},
	{file: "views/users.tsx", title: "Enable ${name}?", call: "kms PATCH /users/{userId}", view: "users/{edsger}", press: "Enable", label: "Enable", code: "precondition_failed",
		meddles: changesUser, done: "edsger enabled."},
	{file: "views/users.tsx", title: "Unlock ${name}?", call: "kms POST /users/{userId}/unlock", view: "users/{edsger}", press: "Unlock", label: "Unlock", code: "insufficient_scope",
		roleless: true, done: "edsger unlocked."},
	{file: "views/users.tsx", title: "Reset the password of ${name}?", call: "kms POST /users/{userId}/password-resets", view: "users/{edsger}", press: "Reset password", label: "Create reset link",
		code: "insufficient_scope", roleless: true, shows: "Save this reset link", done: "Link created."},
	{file: "views/users.tsx", title: "Mail address of ${name}", call: "kms PATCH /users/{userId}", view: "users/{edsger}", press: "Update mail address", label: "Update", code: "invalid_body",
		wrong: types("Mail address", "edsger at home"), fill: types("Mail address", "edsger@example.org"), done: "edsger has a new mail address."},
	{file: "views/users.tsx", title: "Invite ${name} to add a second factor?", call: "kms POST /users/{userId}/invitations", view: "users/{edsger}", press: "Invite to a second factor",
		label: "Create invitation", code: "insufficient_scope", roleless: true, shows: "Save this invitation", done: "Invitation created."},
	{file: "views/users.tsx", title: "Reset the second factors of ${name}?", call: "twofactor POST /subjects/{subjectId}/reset", view: "users/{edsger}", press: "Reset second factors", label: "Reset",
		code: "invalid_body", wrong: types("Reason", "lost"), fill: types("Reason", "phone lost, identity checked in person"), done: "0 second factors and 0 recovery codes deleted."},
}

// mailing waits until twofactor asks for mails, as it does once it has started and every 20 seconds.
func mailing(h *theatre) {
	require.Eventually(h.t, func() bool {
		_, err := h.admin.KMS.MailInvitation(h.t.Context(), h.ids["edsger"], kms.MailOrder{})
		return err == nil
	}, patience, 50*time.Millisecond)
}

var mailWrites = []write{
	{file: "views/users.tsx", title: "Mail ${name} a reset link?", call: "kms POST /users/{userId}/password-resets/mail", view: "users/{edsger}", press: "Mail a reset link", label: "Send mail",
		before: mailing, code: "insufficient_scope", roleless: true, soon: true, done: "A mail to e***@example.org is on its way."},
	{file: "views/users.tsx", title: "Mail ${name} an invitation?", call: "kms POST /users/{userId}/invitations/mail", view: "users/{edsger}", press: "Mail an invitation", label: "Send mail",
		before: mailing, code: "insufficient_scope", roleless: true, soon: true, done: "A mail to e***@example.org is on its way."},
}

var keyWrites = []write{
	{file: "keylist.tsx", title: "Create API key of ${owner.name}", call: "kms POST /keys", view: "users/{edsger}", press: "Create API key", label: "Create key", code: "validation_failed",
		wrong: types("Name", "lectern", "elements:read", "+", "Days until expiry", "3650"), fill: types("Days until expiry", "30"), asks: true, shows: "Save this API key", done: "API key lectern created."},
	{file: "keylist.tsx", title: "Rotate ${key.name}?", call: "kms POST /keys/{keyId}/rotate", view: "users/{edsger}", press: "Rotate lectern", label: "Rotate", code: "invalid_body",
		wrong: types("Seconds the old key remains valid", "-1"), fill: types("Seconds the old key remains valid", "0"), asks: true, shows: "Save this API key", done: "lectern rotated."},
	{file: "keylist.tsx", title: "Revoke ${key.name}?", call: "kms DELETE /keys/{keyId}", view: "users/{edsger}", press: "Revoke lectern", label: "Revoke", code: "not_found",
		roleless: true, asks: true, done: "lectern revoked."},
	{file: "sessions.tsx", title: "Revoke this session?", call: "kms DELETE /users/{userId}/sessions/{sessionId}", view: "users/{edsger}", press: "Revoke the session of ...", label: "Revoke",
		before: signsInEdsger, code: "not_found", roleless: true, asks: true, done: "Session revoked."},
	{file: "sessions.tsx", title: "Revoke all sessions of ${name}?", call: "kms DELETE /users/{userId}/sessions", view: "users/{edsger}", press: "Revoke all sessions", label: "Revoke all",
		before: signsInEdsger, code: "not_found", roleless: true, asks: true, done: "1 sessions revoked."},
	{file: "views/users.tsx", title: "Delete ${name}?", call: "kms DELETE /users/{userId}", view: "users/{edsger}", press: "Delete", label: "Delete", code: "insufficient_scope",
		roleless: true, done: "edsger deleted."},
}

// signsInEdsger has edsger sign in somewhere.
func signsInEdsger(h *theatre) {
	_, err := h.own.KMS.LoginUser(h.t.Context(), kms.Login{Username: "edsger", Password: password}, fountain.WithoutAuth())
	require.NoError(h.t, err)
}

var roleWrites = []write{
	{file: "views/roles.tsx", title: "Create role", call: "kms PUT /roles/{roleName}", view: "roles", press: "Create role", label: "Create role", code: "precondition_failed", told: "or exists already",
		wrong: types("Name", "librarian", "elements:read", "+"), fill: types("Name", "reporter"), done: "Role reporter created."},
	{file: "views/roles.tsx", title: "Scopes of ${role.name}", call: "kms PUT /roles/{roleName}", view: "roles/librarian", press: "Update scopes", label: "Update scopes", code: "precondition_failed",
		meddles: changesRole, fill: types("documents:search", "+"), done: "Scopes of librarian updated."},
	{file: "views/roles.tsx", title: "Second-factor policy of ${role.name}", call: "kms PUT /roles/{roleName}/second-factor", view: "roles/librarian", press: "Update second-factor policy",
		label: "Update policy", code: "invalid_body", wrong: types("Seconds a session keeps its level", "10"), fill: types("Seconds a session keeps its level", "3600"),
		done: "Second-factor policy of librarian updated."},
	{file: "views/roles.tsx", title: "Delete ${role.name}?", call: "kms DELETE /roles/{roleName}", view: "roles/librarian", press: "Delete", label: "Delete", code: "insufficient_scope", roleless: true,
		done: "Role librarian deleted."},
}

// changesRole has somebody change the role librarian.
func changesRole(h *theatre) error {
	role, err := h.admin.KMS.GetRole(h.t.Context(), "librarian")
	if err != nil {
		return err
	}
	_, err = h.admin.KMS.PutRole(h.t.Context(), "librarian", kms.RolePut{Scopes: []string{"elements:read", "elements:write"}}, fountain.WithIfMatch(fountain.IfMatch(*role.Version)))
	return err
}

var serviceWrites = []write{
	{file: "views/services.tsx", title: "Register service", call: "kms POST /services", view: "services", press: "Register service", label: "Register", code: "already_exists",
		wrong: types("Name", "sequence", "Declared scopes", "ledger:read"), fill: types("Name", "ledger"), shows: "Save this enrolment token", done: "ledger registered."},
	{file: "views/services.tsx", title: "Scopes of ${name}", call: "kms PATCH /services/{serviceId}", view: "services/{reports}", press: "Update scopes", label: "Update scopes",
		code: "precondition_failed", meddles: changesService, fill: types("documents:search", "+"), done: "Scopes of reports updated."},
	{file: "views/services.tsx", title: "Disable ${name}?", call: "kms PATCH /services/{serviceId}", view: "services/{reports}", press: "Disable", label: "Disable", code: "precondition_failed",
		meddles: changesService, done: "reports disabled."},
	{file: "views/services.tsx", title: "Enable ${name}?", call: "kms PATCH /services/{serviceId}", view: "services/{reports}", press: "Enable", label: "Enable", code: "precondition_failed",
		meddles: changesService, done: "reports enabled."},
	{file: "views/services.tsx", title: "Create enrolment token for ${name}?", call: "kms POST /services/{serviceId}/enrolment-tokens", view: "services/{reports}", press: "Create enrolment token",
		label: "Create token", code: "insufficient_scope", roleless: true, shows: "Save this enrolment token", done: "Token created."},
	{file: "views/adopted.tsx", title: "Retire ${name}?", call: "kms DELETE /contracts/{contractName}", view: "adopted/reports", press: "Retire", label: "Retire", code: "insufficient_scope",
		roleless: true, done: "reports retired."},
	{file: "views/services.tsx", title: "Delete ${name}?", call: "kms DELETE /services/{serviceId}", view: "services/{reports}", press: "Delete", label: "Delete", code: "insufficient_scope",
		roleless: true, done: "reports deleted."},
	{file: "views/secrets.tsx", title: "Create secret", call: "kms PUT /secrets/{secretName}", view: "secrets", press: "Create secret", label: "Create secret", code: "precondition_failed", told: "A secret with this name exists already.",
		wrong: types("Name", "reports.mailbox", "Value", "tern"), fill: types("Name", "reports.door"), done: "reports.door created."},
	{file: "views/secrets.tsx", title: "Replace ${name}", call: "kms PUT /secrets/{secretName}", view: "secrets", press: "Replace reports.mailbox", label: "Replace", code: "precondition_failed", told: "version",
		meddles: func(h *theatre) error {
			_, err := h.admin.KMS.PutSecret(h.t.Context(), "reports.mailbox", kms.SecretPut{Value: "owl"}, fountain.WithIfMatch(fountain.IfMatch(1)))
			return err
		}, fill: types("Value", "tern"), done: "reports.mailbox replaced: version 3."},
	{file: "secretversions.tsx", title: "Show ${secretName}?", call: "kms GET /secrets/{secretName}", view: "secrets", press: "Show reports.mailbox", label: "Show value", code: "insufficient_scope",
		roleless: true, shows: "reports.mailbox", closes: "Close", done: "reports.mailbox"},
}

var appWrites = []write{
	{file: "views/clients.tsx", title: "Register web app", call: "kms POST /clients", view: "clients", press: "Register web app", label: "Register", code: "validation_failed",
		wrong: types("Name", "Tickets", "Redirect URIs", "http://app.example/callback"), fill: types("Redirect URIs", "https://app.example/tickets"), shows: "Save this client secret", done: "Tickets registered."},
	{file: "views/clients.tsx", title: "Update ${name}", call: "kms PATCH /clients/{clientId}", view: "clients/{Programme}", press: "Update", label: "Update", code: "precondition_failed",
		meddles: func(h *theatre) error {
			_, err := h.admin.KMS.UpdateClient(h.t.Context(), h.ids["Programme"], fountain.IfMatch(1), kms.ClientUpdate{RedirectUris: &[]string{"https://app.example/callback", "https://app.example/next"}})
			return err
		}, fill: types("Redirect URIs", "https://app.example/last"), done: "Programme updated."},
	{file: "views/clients.tsx", title: "Rotate the secret of ${name}?", call: "kms POST /clients/{clientId}/secrets", view: "clients/{Programme}", press: "Rotate secret", label: "Rotate secret",
		code: "insufficient_scope", roleless: true, shows: "Save this client secret", done: "Secret of Programme rotated."},
	{file: "views/clients.tsx", title: "Delete ${name}?", call: "kms DELETE /clients/{clientId}", view: "clients/{Programme}", press: "Delete", label: "Delete", code: "insufficient_scope",
		roleless: true, done: "Programme deleted."},
}

var documentWrites = []write{
	{file: "views/search.tsx", title: "Create collection", call: "search POST /collections", view: "search", press: "Create collection", label: "Create collection", code: "already_exists", told: "There is a collection with this name already.",
		wrong: types("Name", "plays"), fill: types("Name", "notes"), done: "Collection notes created."},
	{file: "views/search.tsx", call: "search POST /collections/{collection}/search", view: "search/plays", label: "Search", code: "validation_failed", told: "year",
		wrong: types("Query", "hamlet", "Filter", "year:>1900"), fill: types("Filter", ""), done: "1 of 1 documents, page 1"},
	{file: "views/search.tsx", title: "Abort the reindex?", call: "search POST /collections/{collection}/reindexes/{reindexId}/abort", view: "search/plays", press: "Abort", label: "Abort",
		before: reindexStands, code: "insufficient_scope", roleless: true, done: "Reindex of plays: aborted.", after: reindexGoesOn},
	{file: "views/search.tsx", title: "Reindex ${collection}?", call: "search POST /collections/{collection}/reindexes", view: "search/plays", press: "Start reindex", label: "Start reindex",
		code: "insufficient_scope", roleless: true, done: "Reindex of plays started."},
	{file: "views/search.tsx", title: "Roll the reindex back?", call: "search POST /collections/{collection}/reindexes/{reindexId}/rollback", view: "search/plays", press: "Roll back", label: "Roll back",
		before: reindexIsDone, code: "insufficient_scope", roleless: true, done: "Reindex of plays: "},
	{file: "views/search.tsx", title: "Delete ${name}?", call: "search DELETE /collections/{collection}", view: "search/notes", press: "Delete", label: "Delete", code: "insufficient_scope",
		roleless: true, done: "Collection notes deleted."},
	{file: "views/sequence.tsx", title: "Create ${elementType}", call: "sequence POST /scopes/{scope}/{elementType}/elements", view: "sequence/play/scene", press: "Create element",
		label: "Create element", code: "invalid_body", wrong: types("ID", "a b", "Data", `{"title":"there"}`), fill: types("ID", "two"), done: "Element 2 created."},
	{file: "move.tsx", title: "Move ${one.elementType} ${one.number}", call: "sequence POST /scopes/{scope}/{elementType}/elements/{elementId}/move/preview", view: "sequence/play/scene",
		press: "Move scene 1", label: "Preview", code: "validation_failed", told: "nothing was changed", wrong: types("Before", "three"), fill: types("Before", "", "After", "two"), done: "two 2 1"},
	{file: "move.tsx", title: "Move ${one.elementType} ${number}?", call: "sequence POST /scopes/{scope}/{elementType}/elements/{elementId}/move", view: "sequence/play/scene",
		press: "Move scene 2 up", label: "Move", code: "insufficient_scope", roleless: true, done: "two now has the number 1."},
	{file: "views/sequence.tsx", title: "Create version of ${path.elementType} ${one.number}", call: "sequence POST /scopes/{scope}/{elementType}/elements/{elementId}/versions",
		view: "sequence/play/scene/{scene}", press: "Create version", label: "Create version", code: "precondition_failed",
		meddles: func(h *theatre) error {
			element, err := h.admin.Sequence.GetElement(h.t.Context(), "play", "scene", h.ids["scene"])
			if err != nil {
				return err
			}
			tag := fountain.ETag(fmt.Sprintf(`"%d-%d-%s"`, element.Version, element.Number, element.Status))
			_, err = h.admin.Sequence.CreateVersion(h.t.Context(), "play", "scene", element.ID, tag, sequence.VersionCreate{Data: json.RawMessage(`{"title":"elsewhere"}`)})
			return err
		}, fill: types("Data", `{"title":"nowhere"}`), done: "Version 3 created."},
	{file: "history.tsx", title: "Restore version ${version} of ${one.elementType} ${one.number}?", call: "sequence POST /scopes/{scope}/{elementType}/elements/{elementId}/versions/{version}/restore",
		view: "sequence/play/scene/{scene}", press: "Restore version 1", label: "Restore", code: "precondition_failed",
		meddles: func(h *theatre) error {
			_, err := h.admin.Sequence.CreateVersion(h.t.Context(), "play", "scene", h.ids["scene"], `"3"`, sequence.VersionCreate{Data: json.RawMessage(`{"title":"beyond"}`)})
			return err
		}, fill: types("Comment", "as it was"), done: "Version 1 restored as version 5."},
	{file: "views/sequence.tsx", title: "Omit ${path.elementType} ${element.value?.number}?", call: "sequence POST /scopes/{scope}/{elementType}/elements/{elementId}/omit",
		view: "sequence/play/scene/{scene}", press: "Omit", label: "Omit", code: "insufficient_scope", roleless: true, done: "Element omitted."},
	{file: "views/sequence.tsx", title: "Restore ${path.elementType} ${element.value?.number}?", call: "sequence POST /scopes/{scope}/{elementType}/elements/{elementId}/restore",
		view: "sequence/play/scene/{scene}", press: "Restore", label: "Restore", code: "insufficient_scope", roleless: true, done: "Element restored."},
}

// jobStands begins a write of many documents that does not come to its end: the engine takes none of its documents.
func jobStands(h *theatre) {
	h.t.Helper()
	h.engine.holds()
	_, err := h.admin.Search.StartSync(h.t.Context(), "plays", strings.NewReader(`{"op":"upsert","id":"macbeth","document":{"title":"Macbeth"}}`+"\n"))
	require.NoError(h.t, err)
}

var collectionWrites = []write{
	{file: "grants.tsx", title: "Grant access to ${collection}", call: "search PUT /collections/{collection}/grants/{grantee}", view: "search/plays", press: "Grant access", label: "Grant access",
		fill: types("Name or ID", "reader"), code: "insufficient_scope", roleless: true, done: "role:reader may read plays."},
	{file: "grants.tsx", title: "Delete the grant of ${grantee}?", call: "search DELETE /collections/{collection}/grants/{grantee}", view: "search/plays", press: "Delete the grant of role:reader",
		label: "Delete", code: "insufficient_scope", roleless: true, done: "Grant of role:reader deleted."},
	{file: "views/sets.tsx", title: "Create ${kinds[kind].title.toLowerCase()}", call: "search PUT /sets/{kind}/{set}", view: "sets", press: "Create synonyms", label: "Create set", code: "invalid_body",
		wrong: types("Name", "theatre", "Content", "[{}]"), fill: types("Content", `[{"words":["play","drama"]}]`), done: "Set theatre created."},
	{file: "views/sets.tsx", title: "Replace ${set.name}", call: "search PUT /sets/{kind}/{set}", view: "sets/synonyms/theatre", press: "Replace", label: "Replace", code: "precondition_failed", told: "not the current one",
		meddles: func(h *theatre) error {
			body := search.SearchSetPut{Synonyms: &[]search.Synonym{{Words: []string{"play", "show"}}}}
			_, err := h.admin.Search.PutSearchSet(h.t.Context(), search.SetKindSynonyms, "theatre", body, fountain.WithIfMatch(fountain.IfMatch(1)))
			return err
		}, fill: types("Content", `[{"words":["play","piece"]}]`), done: "Set theatre replaced: version 3."},
	{file: "collectionsets.tsx", title: "Synonyms and curations of ${collection}", call: "search PUT /collections/{collection}/sets", view: "search/plays", press: "Update sets", label: "Update",
		code: "precondition_failed", told: "not the current one", meddles: func(h *theatre) error {
			held, err := h.admin.Search.GetCollectionSets(h.t.Context(), "plays")
			if err != nil {
				return err
			}
			_, err = h.admin.Search.PutCollectionSets(h.t.Context(), "plays", fountain.IfMatch(held.Version), search.CollectionSetsPut{SynonymSets: []string{"theatre"}, CurationSets: []string{}})
			return err
		}, fill: types("theatre", "+"), done: "Sets of plays updated."},
	{file: "views/sets.tsx", title: "Delete ${name}?", call: "search DELETE /sets/{kind}/{set}", view: "sets/synonyms/theatre", press: "Delete", label: "Delete", code: "insufficient_scope",
		roleless: true, done: "Set theatre deleted."},
	{file: "jobs.tsx", title: "Cancel the job?", call: "search POST /collections/{collection}/jobs/{jobId}/cancel", view: "search/plays", press: "Cancel job ...", label: "Cancel job",
		before: jobStands, code: "insufficient_scope", roleless: true, done: "Job of plays: cancelled.", after: func(h *theatre) { h.engine.letsPass() }},
	{file: "searchkey.tsx", title: "Create search key for ${collection}", call: "search POST /collections/{collection}/search-keys", view: "search/plays", press: "Create search key", label: "Create key",
		code: "invalid_body", wrong: types("Minutes until expiry", "0"), fill: types("Minutes until expiry", "60"), shows: "Save this search key", done: "Search key created."},
	{file: "document.tsx", title: "Replace ${place.id}", call: "search PUT /collections/{collection}/documents/{documentId}", view: "search/verses/sync", press: "Replace", label: "Replace",
		code: "precondition_failed", told: "not the current one", meddles: func(h *theatre) error {
			return h.admin.Search.PutDocument(h.t.Context(), "verses", "sync", nil, json.RawMessage(verse))
		}, fill: types("Document", `{"line":"to a summer's day?","number":9007199254740993}`), done: "Document sync replaced."},
	{file: "document.tsx", title: "Delete document ${place.id}?", call: "search DELETE /collections/{collection}/documents/{documentId}", view: "search/verses/sync", press: "Delete", label: "Delete",
		code: "insufficient_scope", roleless: true, done: "Document sync deleted."},
	{file: "views/health.tsx", title: "Send to search again?", call: "sequence POST /dead-letters/retry", view: "health", press: "Retry all", label: "Retry", code: "insufficient_scope", roleless: true,
		done: "0 sent again, 0 left."},
	{file: "numberformat.tsx", title: "Number format of ${path.elementType}", call: "sequence PUT /scopes/{scope}/{elementType}/number-format", view: "sequence/play/act", press: "Set number format",
		label: "Set format", code: "validation_failed", wrong: types("Time zone", "Nowhere/Land"), fill: types("Time zone", "UTC"), done: "Number format set; the next number is "},
}

// rotationIsOver waits until no rotation of the mailbox's secret runs.
func rotationIsOver(h *theatre) {
	h.t.Helper()
	require.Eventually(h.t, func() bool {
		rotation, err := h.admin.KMS.GetSecretRotation(h.t.Context(), "reports.mailbox")
		return err == nil && rotation.State == kms.SecretRotationStateIdle
	}, time.Minute, 50*time.Millisecond)
}

// What is done with the secret of the mailbox, which has three versions.
var secretWrites = []write{
	{file: "secretversions.tsx", title: "Show version ${version} of ${secretName}?", call: "kms GET /secrets/{secretName}/versions/{secretVersion}", view: "secrets/reports.mailbox",
		press: "Show version 1", label: "Show value", code: "insufficient_scope", roleless: true, shows: "Version 1, of", closes: "Close", done: "Versions"},
	{file: "secretversions.tsx", title: "Delete version ${version} of ${secretName}?", call: "kms DELETE /secrets/{secretName}/versions/{secretVersion}", view: "secrets/reports.mailbox",
		press: "Delete version 1", label: "Delete", code: "insufficient_scope", roleless: true, done: "Version 1 deleted."},
	{file: "secretversions.tsx", title: "Undelete version ${version} of ${secretName}?", call: "kms POST /secrets/{secretName}/versions/{secretVersion}/undelete", view: "secrets/reports.mailbox",
		press: "Undelete version 1", label: "Undelete", code: "insufficient_scope", roleless: true, done: "Version 1 undeleted."},
	{file: "secretversions.tsx", title: "Make version ${version} of ${secretName} current?", call: "kms POST /secrets/{secretName}/versions/{secretVersion}/promote", view: "secrets/reports.mailbox",
		press: "Make current: version 1", label: "Make current", code: "precondition_failed", told: "version",
		meddles: func(h *theatre) error {
			_, err := h.admin.KMS.PutSecret(h.t.Context(), "reports.mailbox", kms.SecretPut{Value: "swan"}, fountain.WithIfMatch(fountain.IfMatch(3)))
			return err
		}, done: "Version 1 is current now."},
	{file: "secretversions.tsx", title: "Destroy version ${version} of ${secretName}?", call: "kms POST /secrets/{secretName}/versions/{secretVersion}/destroy", view: "secrets/reports.mailbox",
		press: "Destroy version 3", label: "Destroy", code: "insufficient_scope", roleless: true, done: "Version 3 destroyed."},
	{file: "rotation.tsx", title: "Rotation of ${secretName}", call: "kms PUT /secrets/{secretName}/rotation", view: "secrets/reports.mailbox", press: "Set up rotation", label: "Set rotation",
		code: "invalid_body", wrong: types("Characters", "5"), fill: types("Characters", "32"), done: "Rotation of reports.mailbox set."},
	{file: "rotation.tsx", title: "Rotate ${secretName} now?", call: "kms POST /secrets/{secretName}/rotate", view: "secrets/reports.mailbox", press: "Rotate now", label: "Rotate",
		code: "insufficient_scope", roleless: true, done: "Rotation of reports.mailbox started."},
	{file: "rotation.tsx", title: "Roll ${secretName} back?", call: "kms POST /secrets/{secretName}/rotation/rollback", view: "secrets/reports.mailbox", press: "Roll back", label: "Roll back",
		before: rotationIsOver, code: "insufficient_scope", roleless: true, done: "Rollback of reports.mailbox started."},
	{file: "rotation.tsx", title: "Stop rotating ${secretName}?", call: "kms DELETE /secrets/{secretName}/rotation", view: "secrets/reports.mailbox", press: "Stop rotating", label: "Stop rotating",
		before: rotationIsOver, code: "insufficient_scope", roleless: true, done: "reports.mailbox is no longer rotated."},
}

// changesKeyring has somebody change the keyring invoices.
func changesKeyring(h *theatre) error {
	ring, err := h.admin.KMS.GetKeyring(h.t.Context(), "invoices")
	if err != nil {
		return err
	}
	_, err = h.admin.KMS.UpdateKeyring(h.t.Context(), ring.Name, fountain.IfMatch(ring.Version), kms.KeyringUpdate{Services: &[]string{"sequence"}})
	return err
}

var vaultWrites = []write{
	{file: "views/keyrings.tsx", title: "Create keyring", call: "kms POST /keyrings", view: "keyrings", press: "Create keyring", label: "Create keyring", code: "already_exists",
		wrong: types("Name", "sequence"), fill: types("Name", "invoices"), done: "Keyring invoices created."},
	{file: "views/keyrings.tsx", title: "Rotate ${name}?", call: "kms POST /keyrings/{keyring}/rotate", view: "keyrings/invoices", press: "Rotate", label: "Rotate", code: "insufficient_scope",
		roleless: true, done: "invoices rotated: key 2."},
	{file: "views/keyrings.tsx", title: "Update ${name}", call: "kms PATCH /keyrings/{keyring}", view: "keyrings/invoices", press: "Update", label: "Update", code: "precondition_failed", told: "version",
		meddles: changesKeyring, fill: types("Services", "search"), done: "invoices updated."},
	{file: "views/keyrings.tsx", title: "Give up older keys of ${name}?", call: "kms PATCH /keyrings/{keyring}", view: "keyrings/invoices", press: "Give up older keys", label: "Give up keys",
		code: "validation_failed", wrong: types("Oldest key that stays", "9"), fill: types("Oldest key that stays", "2"), done: "Keys of invoices before 2 are given up."},
	{file: "views/keyrings.tsx", title: "Delete ${name}?", call: "kms DELETE /keyrings/{keyring}", view: "keyrings/invoices", press: "Delete", label: "Delete", code: "insufficient_scope",
		roleless: true, done: "invoices is deleted on "},
	{file: "views/keyrings.tsx", title: "Restore ${name}?", call: "kms POST /keyrings/{keyring}/restore", view: "keyrings/invoices", press: "Restore", label: "Restore", code: "insufficient_scope",
		roleless: true, done: "invoices restored."},
	{file: "views/signingkeys.tsx", title: "Rotate the signing key?", call: "kms POST /signing-keys/rotate", view: "signing-keys", press: "Rotate", label: "Rotate", code: "insufficient_scope",
		roleless: true, done: " signs from "},
	{file: "views/signingkeys.tsx", title: "Revoke key ${short(kid)}?", call: "kms POST /signing-keys/{kid}/revoke", view: "signing-keys", press: "Revoke the retiring key ...", label: "Revoke key",
		before: func(h *theatre) { h.clock.Advance(time.Minute) }, code: "insufficient_scope", roleless: true, done: "... revoked."},
	{file: "views/rootkey.tsx", title: "Rotate the root key?", call: "kms POST /root-key/rotate", view: "root-key", press: "Rotate", label: "Rotate", code: "state_conflict",
		wrong: func(*theatre) {}, fill: replacesRootKey, done: " is the active root key now."},
	{file: "views/audit.tsx", title: "Verify the audit trail", call: "kms POST /audit/verify", view: "audit", press: "Verify", label: "Verify", code: "invalid_body",
		wrong: types("Checkpoint", "{}"), fill: types("Checkpoint", ""), done: "The audit trail is intact: "},
	{file: "views/audit.tsx", title: "Export the audit trail", call: "kms GET /audit/export", view: "audit", press: "Export", label: "Export", code: "insufficient_scope",
		roleless: true, done: " events exported."},
}

// Of one's own account next to nothing is refused to anybody.
var accountWrites = []write{
	{file: "consents.tsx", title: "Withdraw consent for ${client.name}?", call: "kms DELETE /users/{userId}/consents/{clientId}", view: "account", press: "Withdraw consent for Programme", label: "Withdraw",
		before: func(h *theatre) { h.consents(h.t) }, code: "unavailable", injected: true, done: "Consent for Programme withdrawn."},
	{file: "views/account.tsx", title: "Change your password", call: "kms PUT /users/{userId}/password", view: "account", press: "Change password", label: "Change password", code: "invalid_credentials",
		wrong: types("Current password", "not the password", "New password", "seven herons at the harbour", "Repeat the new password", "seven herons at the harbour"),
		fill:  types("Current password", password), done: "Password changed."},
	{file: "sessions.tsx", title: "Sign out here?", call: "kms DELETE /users/{userId}/sessions/{sessionId}", view: "account", press: "Revoke the session of ...", label: "Revoke",
		code: "unavailable", injected: true, done: "Your session has ended. Sign in again."},
}

// writes returns all rows, in an order in which what is written to is there.
func writes() (all []write) {
	for _, some := range [][]write{mailWrites, documentWrites, collectionWrites, roleWrites, userWrites, keyWrites, accountWrites[:1], appWrites, serviceWrites, secretWrites, vaultWrites, accountWrites[1:]} {
		all = append(all, some...)
	}
	return all
}

// Every write of a view is refused once: the form tells why, in words, keeps what was typed, and no script fails. Where the contract asks for a second factor, the write asks for it, takes
// a code, and is done.
func TestConsole_tellsEachRefusalAndDoesEachWrite(t *testing.T) {
	h := opens(t, newMailbox(t))
	raised := 0
	for _, one := range writes() {
		began := time.Now()
		if h.writes(one) {
			raised++
		}
		t.Logf("%-45s %-20s %v", one.call, one.code, time.Since(began).Round(time.Millisecond))
	}
	require.Greater(t, raised, 25)
}

// writes does what a row says, and reports whether a second factor was asked for.
func (h *theatre) writes(one write) (asked bool) {
	h.t.Helper()
	where := one.file + ": " + one.title
	if one.before != nil {
		one.before(h)
	}
	h.begins(one, one.wrong)
	typed := h.given()
	switch {
	case one.roleless:
		h.has("reader")
	case one.meddles != nil:
		require.NoError(h.t, one.meddles(h), where)
	case one.injected:
		method := strings.Fields(one.call)[1]
		h.browser.refuses(h.tab, &refusal{method: method, status: http.StatusServiceUnavailable, body: `{"type":"/problems/unavailable","title":"Unavailable","status":503,"code":"unavailable",` +
			`"detail":"The service can't do this now.","requestId":"req_injected"}`})
	}
	h.presses(one.label)
	if h.js(`async () => !!await until(() => top().querySelector(".trouble") ?? by("h2", "Confirm that it is you")) && !!by("h2", "Confirm that it is you")`) == true {
		h.proves() // before the service looks at what it was given
	}
	h.isRefused(one.code)
	told := h.js(`() => [...top().querySelectorAll(".trouble .error")].pop().innerText`).(string)
	require.Contains(h.t, told, cmp.Or(one.told, says[one.code]), where)
	require.Greater(h.t, len(strings.Fields(told)), 3, "%s: %q are no words for people", where, told)
	require.Equal(h.t, typed, h.given(), "%s keeps what was typed", where)
	switch {
	case one.roleless:
		h.has("admin")
	case one.meddles != nil:
		h.presses("Cancel")
		h.begins(one, nil)
	case one.injected:
		h.browser.refuses(h.tab, nil)
	default:
		one.fill(h)
	}

	if one.soon {
		h.js(later)
	} else {
		h.clock.Advance(11 * time.Minute) // what a second factor gave has ended, and so has the token
	}
	h.presses(one.label)
	if asked = one.asks || h.raises(one.call); asked {
		h.proves()
	}
	if one.shows != "" {
		h.reads(one.shows)
		h.presses(cmp.Or(one.closes, "I have saved it"))
	}
	h.reads(one.done)
	if one.after != nil {
		one.after(h)
	}
	return asked
}

// begins opens the view and the form of a write, and fills it.
func (h *theatre) begins(one write, wrong func(*theatre)) {
	h.t.Helper()
	h.turnsTo(one.view)
	if one.press != "" {
		h.opensDialog(one)
	}
	if wrong == nil {
		wrong = one.fill
	}
	if wrong != nil {
		wrong(h)
	}
}

// opensDialog presses the button, gives a second factor where the view itself asks for one, and holds that the dialog has its title.
func (h *theatre) opensDialog(one write) {
	h.t.Helper()
	stem, begins := strings.CutSuffix(one.press, "...")
	button := `[...document.querySelectorAll("#views button")].find((one) => shown(one) && (begins ? name(one).startsWith(stem) : name(one) === stem))`
	require.Equal(h.t, true, h.js(`async (stem, begins) => !!await until(() => document.querySelector("dialog[open]") ?? (!document.querySelector("#views").textContent.includes("Loading ...") && `+button+`))`, stem, begins), "%s: no %q in: %s", one.file, one.press, h.text())
	if h.js(`() => !!document.querySelector("dialog[open]")`) == true {
		h.proves()
		h.js(`() => until(() => !document.querySelector("dialog[open]") && !document.querySelector("#views").textContent.includes("Loading ..."))`)
	}
	require.Equal(h.t, true, h.js(`async (stem, begins) => { const found = await until(() => `+button+`); found?.focus(); return !!found; }`, stem, begins), "%s: no %q in: %s", one.file, one.press, h.text())
	h.key("Enter", "\r")
	pattern := "^" + regexp.MustCompile(`\\\$\\\{[^}]*\}`).ReplaceAllString(regexp.QuoteMeta(one.title), ".+") + "$"
	require.Equal(h.t, true, h.js(`async (pattern) => !!await until(() => new RegExp(pattern).test(document.querySelector("dialog[open] h2")?.textContent))`, pattern), "%s %q: %s", one.file, one.title, h.text())
}

// given is what is in the form.
func (h *theatre) given() any {
	h.t.Helper()
	return h.js(`() => JSON.stringify([...new FormData([...top().querySelectorAll("form")].pop())])`)
}

// contracts are read once.
var contracts = map[string]map[string]map[string]any{}

// raises tells whether the contract asks a user for a second factor, whatever the service says.
func (h *theatre) raises(call string) bool {
	h.t.Helper()
	parts := strings.Fields(call)
	if contracts[parts[0]] == nil {
		raw, err := os.ReadFile("../../openapi/" + parts[0] + ".yaml")
		require.NoError(h.t, err)
		var document struct{ Paths map[string]map[string]any }
		require.NoError(h.t, yaml.Unmarshal(raw, &document))
		contracts[parts[0]] = document.Paths
	}
	operation, found := contracts[parts[0]][parts[2]][strings.ToLower(parts[1])].(map[string]any)
	require.True(h.t, found, call)
	rules, _ := operation["x-fountain"].(map[string]any)
	stepUp, demanded := rules["stepUp"].(map[string]any)
	return demanded && stepUp["dynamic"] != true
}

var (
	callIn  = regexp.MustCompile(`family\.(\w+)\.(POST|PUT|PATCH|DELETE)\("([^"]+)"`)
	anyCall = regexp.MustCompile(`\b(POST|PUT|PATCH|DELETE)\b`)
	askIn   = regexp.MustCompile("\\bask\\(\\{\\s*title: ([^\n]*?), (?:label|text|fields): ")
	anyAsk  = regexp.MustCompile(`\bask(<[^>]*>)?\(\{`)
	textIn  = regexp.MustCompile("\"([^\"]*)\"|`([^`]*)`")
)

// Every write that the console's source has stands in a row of the story: a view that is added without one fails here.
func TestConsole_everyWriteHasItsRefusal(t *testing.T) {
	calls, titles := map[string]bool{}, map[string]bool{}
	for _, one := range writes() {
		calls[one.file+" "+one.call], titles[one.file+" "+one.title] = true, true
		ways := 0
		for _, there := range []bool{one.wrong != nil, one.meddles != nil, one.roleless, one.injected} {
			if there {
				ways++
			}
		}
		require.Equal(t, 1, ways, "%s %s", one.file, one.title)
	}
	const source = "../../console/app/src"
	foundCalls, foundTitles := 0, 0
	require.NoError(t, filepath.WalkDir(source, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, text := filepath.ToSlash(strings.TrimPrefix(path, source+"/")), string(raw)
		known := callIn.FindAllStringSubmatch(text, -1)
		require.Len(t, known, len(anyCall.FindAllString(text, -1)), "%s calls in another way than family.<service>.<METHOD>(\"...\")", file)
		for _, m := range known {
			require.True(t, calls[file+" "+m[1]+" "+m[2]+" "+m[3]], "%s: %s has no row", file, m[0])
			foundCalls++
		}
		asks := askIn.FindAllStringSubmatch(text, -1)
		if file != "ask.tsx" {
			require.Len(t, asks, len(anyAsk.FindAllString(text, -1)), "%s asks in another way than ask({ title: ...", file)
		}
		for _, m := range asks {
			for _, title := range textIn.FindAllStringSubmatch(m[1], -1) {
				require.True(t, titles[file+" "+title[1]+title[2]], "%s: the dialog %q has no row", file, title[0])
				foundTitles++
			}
		}
		return nil
	}))
	require.GreaterOrEqual(t, foundCalls, 65)
	require.GreaterOrEqual(t, foundTitles, 76)
}
