package fountain

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// repeat says when a request may be sent again although the first attempt may have taken effect.
type repeat int

const (
	never   repeat = iota // only if the first attempt certainly never arrived
	withKey               // because an Idempotency-Key makes the repeat harmless
	always                // because it reads, or because the contract says that repeating is safe
)

// operation is what the SDK knows about one operation of the contracts.
type operation struct {
	id, word, method string
	path             string // template below the service's base path
	public           bool   // works without a token
	repeat           repeat
	success          []int      // nil: every status below 400
	asked            *operation // the operation whose challenges also hold for this one; nil: itself
}

// basePath returns the path of a service below the gateway's address.
func basePath(word string) string {
	if word == "gateway" {
		return ""
	}
	return "/" + word + "/v1"
}

// Operation describes one operation of the contracts as this SDK knows it.
type Operation struct {
	ID, Service, Method string
	Path                string // template, from the gateway's root
	Public              bool   // works without a token
	Repeatable          bool   // retried after a failure even if the first attempt may have taken effect
	Keyed               bool   // carries an Idempotency-Key, the same one in every retry
	Success             []int  // the statuses that count as success
}

// Operations returns every operation that this SDK can call, in the order of the contracts.
func Operations() []Operation {
	out := make([]Operation, 0, len(operations))
	for _, op := range operations {
		out = append(out, Operation{
			ID: op.id, Service: op.word, Method: op.method, Path: basePath(op.word) + op.path, Public: op.public,
			Repeatable: op.repeat != never, Keyed: op.repeat == withKey, Success: slices.Clone(op.success),
		})
	}
	return out
}

var operations []*operation

func secured(word, id, method, path string, again repeat, success ...int) *operation {
	op := &operation{id: id, word: word, method: method, path: path, repeat: again, success: success}
	operations = append(operations, op)
	return op
}

func public(word, id, method, path string, again repeat, success ...int) *operation {
	op := secured(word, id, method, path, again, success...)
	op.public = true
	return op
}

// fits reports whether the address, as it would be sent, still belongs to this operation below server. An argument that
// is empty or a dot segment would name another resource.
func (op *operation) fits(server string, address *url.URL) bool {
	base, err := url.Parse(server)
	if err != nil {
		return false
	}
	path, below := strings.CutPrefix(address.EscapedPath(), strings.TrimSuffix(base.EscapedPath(), "/"))
	want, got := strings.Split(op.path, "/"), strings.Split(path, "/")
	if !below || len(want) != len(got) {
		return false
	}
	for i, segment := range want {
		if strings.HasPrefix(segment, "{") {
			if got[i] == "" {
				return false
			}
		} else if segment != got[i] {
			return false
		}
	}
	return true
}

// Operations of the kms contract.
var (
	opGetKmsHealth          = public("kms", "getKmsHealth", http.MethodGet, "/health", never, 200)
	opGetKmsReadiness       = public("kms", "getKmsReadiness", http.MethodGet, "/ready", never, 200)
	opBootstrapAdmin        = public("kms", "bootstrapAdmin", http.MethodPost, "/bootstrap/admin", never, 201)
	opLoginUser             = public("kms", "loginUser", http.MethodPost, "/auth/login", never, 200, 202)
	opCompleteSignIn        = secured("kms", "completeSignIn", http.MethodPost, "/auth/login/complete", never, 200)
	opSignInWithPasskey     = public("kms", "signInWithPasskey", http.MethodPost, "/auth/login/passkey", never, 200)
	opRefreshToken          = public("kms", "refreshToken", http.MethodPost, "/auth/refresh", always, 200)
	opLogoutUser            = secured("kms", "logoutUser", http.MethodPost, "/auth/logout", never, 204)
	opCompleteStepUp        = secured("kms", "completeStepUp", http.MethodPost, "/auth/step-up", never, 200)
	opIssueToken            = public("kms", "issueToken", http.MethodPost, "/oauth2/token", always, 200)
	opRevokeToken           = public("kms", "revokeToken", http.MethodPost, "/oauth2/revoke", always, 200)
	opIntrospectToken       = public("kms", "introspectToken", http.MethodPost, "/oauth2/introspect", always, 200)
	opListRevocations       = secured("kms", "listRevocations", http.MethodGet, "/revocations", always, 200)
	opGetJwks               = public("kms", "getJwks", http.MethodGet, "/.well-known/jwks.json", always, 200)
	opGetServerMetadata     = public("kms", "getServerMetadata", http.MethodGet, "/.well-known/oauth-authorization-server", always, 200)
	opGetProviderMetadata   = public("kms", "getProviderMetadata", http.MethodGet, "/.well-known/openid-configuration", always, 200)
	opGetAuthorizationPage  = public("kms", "getAuthorizationPage", http.MethodGet, "/oauth2/authorize", always, 200)
	opCheckAuthorization    = public("kms", "checkAuthorization", http.MethodPost, "/oauth2/authorize/check", always, 200)
	opAuthorizeClient       = secured("kms", "authorizeClient", http.MethodPost, "/oauth2/authorize", never, 200)
	opGetUserInfo           = secured("kms", "getUserInfo", http.MethodGet, "/oauth2/userinfo", always, 200)
	opGetSignOutPage        = public("kms", "getSignOutPage", http.MethodGet, "/oauth2/logout", always, 200)
	opEndSession            = public("kms", "endSession", http.MethodPost, "/oauth2/logout", always, 200)
	opRegisterClient        = secured("kms", "registerClient", http.MethodPost, "/clients", withKey, 201)
	opListClients           = secured("kms", "listClients", http.MethodGet, "/clients", always, 200)
	opGetClient             = secured("kms", "getClient", http.MethodGet, "/clients/{clientId}", always, 200)
	opUpdateClient          = secured("kms", "updateClient", http.MethodPatch, "/clients/{clientId}", never, 200)
	opDeleteClient          = secured("kms", "deleteClient", http.MethodDelete, "/clients/{clientId}", never, 204)
	opRotateClientSecret    = secured("kms", "rotateClientSecret", http.MethodPost, "/clients/{clientId}/secrets", withKey, 201)
	opCreateUser            = secured("kms", "createUser", http.MethodPost, "/users", withKey, 201)
	opListUsers             = secured("kms", "listUsers", http.MethodGet, "/users", always, 200)
	opGetUser               = secured("kms", "getUser", http.MethodGet, "/users/{userId}", always, 200)
	opUpdateUser            = secured("kms", "updateUser", http.MethodPatch, "/users/{userId}", never, 200)
	opDeleteUser            = secured("kms", "deleteUser", http.MethodDelete, "/users/{userId}", never, 204)
	opChangePassword        = secured("kms", "changePassword", http.MethodPut, "/users/{userId}/password", never, 204)
	opCreatePasswordReset   = secured("kms", "createPasswordReset", http.MethodPost, "/users/{userId}/password-resets", withKey, 201)
	opGetPasswordResetPage  = public("kms", "getPasswordResetPage", http.MethodGet, "/auth/password-reset", always, 200)
	opResetPassword         = public("kms", "resetPassword", http.MethodPost, "/auth/password-reset", never, 204)
	opUnlockUser            = secured("kms", "unlockUser", http.MethodPost, "/users/{userId}/unlock", never, 204)
	opListSessions          = secured("kms", "listSessions", http.MethodGet, "/users/{userId}/sessions", always, 200)
	opRevokeSessions        = secured("kms", "revokeSessions", http.MethodDelete, "/users/{userId}/sessions", never, 200)
	opListConsents          = secured("kms", "listConsents", http.MethodGet, "/users/{userId}/consents", always, 200)
	opWithdrawConsent       = secured("kms", "withdrawConsent", http.MethodDelete, "/users/{userId}/consents/{clientId}", never, 200)
	opRevokeSession         = secured("kms", "revokeSession", http.MethodDelete, "/users/{userId}/sessions/{sessionId}", always, 204)
	opCreateInvitation      = secured("kms", "createInvitation", http.MethodPost, "/users/{userId}/invitations", withKey, 201)
	opRequestPasswordReset  = public("kms", "requestPasswordReset", http.MethodPost, "/auth/password-reset/request", never, 204)
	opMailPasswordReset     = secured("kms", "mailPasswordReset", http.MethodPost, "/users/{userId}/password-resets/mail", withKey, 201)
	opMailInvitation        = secured("kms", "mailInvitation", http.MethodPost, "/users/{userId}/invitations/mail", withKey, 201)
	opListMails             = secured("kms", "listMails", http.MethodGet, "/mails", always, 200)
	opClaimMails            = secured("kms", "claimMails", http.MethodPost, "/mails/claim", never, 200)
	opReportMail            = secured("kms", "reportMail", http.MethodPost, "/mails/{mailId}/outcome", never, 204)
	opCheckInvitation       = secured("kms", "checkInvitation", http.MethodPost, "/invitations/check", always, 200)
	opUseInvitation         = secured("kms", "useInvitation", http.MethodPost, "/invitations/{invitationId}/use", always, 204)
	opRegisterService       = secured("kms", "registerService", http.MethodPost, "/services", withKey, 201)
	opListServices          = secured("kms", "listServices", http.MethodGet, "/services", always, 200)
	opEnrolService          = public("kms", "enrolService", http.MethodPost, "/services/enrol", never, 201)
	opGetService            = secured("kms", "getService", http.MethodGet, "/services/{serviceId}", always, 200)
	opUpdateService         = secured("kms", "updateService", http.MethodPatch, "/services/{serviceId}", never, 200)
	opDeleteService         = secured("kms", "deleteService", http.MethodDelete, "/services/{serviceId}", never, 204)
	opListContracts         = secured("kms", "listContracts", http.MethodGet, "/contracts", always, 200)
	opPutContract           = secured("kms", "putContract", http.MethodPut, "/contracts/{contractName}", never, 200, 201)
	opGetServiceContract    = secured("kms", "getServiceContract", http.MethodGet, "/contracts/{contractName}", always, 200)
	opRetireContract        = secured("kms", "retireContract", http.MethodDelete, "/contracts/{contractName}", never, 204)
	opListScopes            = secured("kms", "listScopes", http.MethodGet, "/scopes", always, 200)
	opListRoles             = secured("kms", "listRoles", http.MethodGet, "/roles", always, 200)
	opGetRole               = secured("kms", "getRole", http.MethodGet, "/roles/{roleName}", always, 200)
	opPutRole               = secured("kms", "putRole", http.MethodPut, "/roles/{roleName}", never, 200, 201)
	opPutSecondFactor       = secured("kms", "putSecondFactorPolicy", http.MethodPut, "/roles/{roleName}/second-factor", never, 200)
	opDeleteRole            = secured("kms", "deleteRole", http.MethodDelete, "/roles/{roleName}", never, 204)
	opCreateEnrolmentToken  = secured("kms", "createEnrolmentToken", http.MethodPost, "/services/{serviceId}/enrolment-tokens", withKey, 201)
	opCreateAPIKey          = secured("kms", "createApiKey", http.MethodPost, "/keys", withKey, 201)
	opListAPIKeys           = secured("kms", "listApiKeys", http.MethodGet, "/keys", always, 200)
	opVerifyAPIKey          = secured("kms", "verifyApiKey", http.MethodPost, "/keys/verify", always, 200)
	opRotateCurrentAPIKey   = secured("kms", "rotateCurrentApiKey", http.MethodPost, "/keys/current/rotate", withKey, 201)
	opGetAPIKey             = secured("kms", "getApiKey", http.MethodGet, "/keys/{keyId}", always, 200)
	opUpdateAPIKey          = secured("kms", "updateApiKey", http.MethodPatch, "/keys/{keyId}", never, 200)
	opWhoamiAPIKey          = public("kms", "whoamiApiKey", http.MethodPost, "/keys/whoami", never, 200)
	opRevokeAPIKey          = secured("kms", "revokeApiKey", http.MethodDelete, "/keys/{keyId}", always, 200)
	opRetireAPIKey          = secured("kms", "retireApiKey", http.MethodPost, "/keys/{keyId}/retire", always, 204)
	opRotateAPIKey          = secured("kms", "rotateApiKey", http.MethodPost, "/keys/{keyId}/rotate", withKey, 201)
	opListSecrets           = secured("kms", "listSecrets", http.MethodGet, "/secrets", always, 200)
	opPutSecret             = secured("kms", "putSecret", http.MethodPut, "/secrets/{secretName}", never, 200, 201)
	opGetSecret             = secured("kms", "getSecret", http.MethodGet, "/secrets/{secretName}", always, 200)
	opCreateDataKey         = secured("kms", "createDataKey", http.MethodPost, "/keyrings/{keyring}/data-keys", never, 201)
	opUnwrapDataKey         = secured("kms", "unwrapDataKey", http.MethodPost, "/keyrings/{keyring}/unwrap", always, 200)
	opListAuditEvents       = secured("kms", "listAuditEvents", http.MethodGet, "/audit/events", always, 200)
	opWatchSecret           = secured("kms", "watchSecret", http.MethodGet, "/secrets/{secretName}/watch", always, 200)
	opListSecretVersions    = secured("kms", "listSecretVersions", http.MethodGet, "/secrets/{secretName}/versions", always, 200)
	opGetSecretVersion      = secured("kms", "getSecretVersion", http.MethodGet, "/secrets/{secretName}/versions/{secretVersion}", always, 200)
	opDeleteSecretVersion   = secured("kms", "deleteSecretVersion", http.MethodDelete, "/secrets/{secretName}/versions/{secretVersion}", never, 204)
	opUndeleteSecretVersion = secured("kms", "undeleteSecretVersion", http.MethodPost, "/secrets/{secretName}/versions/{secretVersion}/undelete", never, 200)
	opDestroySecretVersion  = secured("kms", "destroySecretVersion", http.MethodPost, "/secrets/{secretName}/versions/{secretVersion}/destroy", never, 200)
	opPromoteSecretVersion  = secured("kms", "promoteSecretVersion", http.MethodPost, "/secrets/{secretName}/versions/{secretVersion}/promote", never, 200)
	opPutSecretRotation     = secured("kms", "putSecretRotation", http.MethodPut, "/secrets/{secretName}/rotation", never, 200)
	opGetSecretRotation     = secured("kms", "getSecretRotation", http.MethodGet, "/secrets/{secretName}/rotation", always, 200)
	opDeleteSecretRotation  = secured("kms", "deleteSecretRotation", http.MethodDelete, "/secrets/{secretName}/rotation", never, 204)
	opRollBackSecret        = secured("kms", "rollbackSecretRotation", http.MethodPost, "/secrets/{secretName}/rotation/rollback", never, 202)
	opRotateSecret          = secured("kms", "rotateSecret", http.MethodPost, "/secrets/{secretName}/rotate", never, 202)
	opExplainSecretAccess   = secured("kms", "explainSecretAccess", http.MethodGet, "/secrets/{secretName}/access", always, 200)
	opListSecretPolicies    = secured("kms", "listSecretPolicies", http.MethodGet, "/secret-policies", always, 200)
	opPutSecretPolicy       = secured("kms", "putSecretPolicy", http.MethodPut, "/secret-policies/{policyName}", never, 200, 201)
	opGetSecretPolicy       = secured("kms", "getSecretPolicy", http.MethodGet, "/secret-policies/{policyName}", always, 200)
	opDeleteSecretPolicy    = secured("kms", "deleteSecretPolicy", http.MethodDelete, "/secret-policies/{policyName}", never, 204)
	opListSigningKeys       = secured("kms", "listSigningKeys", http.MethodGet, "/signing-keys", always, 200)
	opRotateSigningKey      = secured("kms", "rotateSigningKey", http.MethodPost, "/signing-keys/rotate", never, 200)
	opRevokeSigningKey      = secured("kms", "revokeSigningKey", http.MethodPost, "/signing-keys/{kid}/revoke", always, 200)
	opListKeyrings          = secured("kms", "listKeyrings", http.MethodGet, "/keyrings", always, 200)
	opCreateKeyring         = secured("kms", "createKeyring", http.MethodPost, "/keyrings", never, 201)
	opGetKeyring            = secured("kms", "getKeyring", http.MethodGet, "/keyrings/{keyring}", always, 200)
	opUpdateKeyring         = secured("kms", "updateKeyring", http.MethodPatch, "/keyrings/{keyring}", never, 200)
	opDeleteKeyring         = secured("kms", "deleteKeyring", http.MethodDelete, "/keyrings/{keyring}", never, 200)
	opRestoreKeyring        = secured("kms", "restoreKeyring", http.MethodPost, "/keyrings/{keyring}/restore", never, 200)
	opRotateKeyring         = secured("kms", "rotateKeyring", http.MethodPost, "/keyrings/{keyring}/rotate", never, 200)
	opEncryptData           = secured("kms", "encryptData", http.MethodPost, "/keyrings/{keyring}/encrypt", always, 200)
	opDecryptData           = secured("kms", "decryptData", http.MethodPost, "/keyrings/{keyring}/decrypt", always, 200)
	opRewrapData            = secured("kms", "rewrapData", http.MethodPost, "/keyrings/{keyring}/rewrap", always, 200)
	opComputeMac            = secured("kms", "computeMac", http.MethodPost, "/keyrings/{keyring}/mac", always, 200)
	opVerifyMac             = secured("kms", "verifyMac", http.MethodPost, "/keyrings/{keyring}/verify-mac", always, 200)
	opSignData              = secured("kms", "signData", http.MethodPost, "/keyrings/{keyring}/sign", always, 200)
	opVerifySignature       = secured("kms", "verifySignature", http.MethodPost, "/keyrings/{keyring}/verify", always, 200)
	opGetRootKey            = secured("kms", "getRootKey", http.MethodGet, "/root-key", always, 200)
	opRotateRootKey         = secured("kms", "rotateRootKey", http.MethodPost, "/root-key/rotate", never, 200)
	opListBackups           = secured("kms", "listBackups", http.MethodGet, "/backups", always, 200)
	opGetDiagnosis          = secured("kms", "getDiagnosis", http.MethodGet, "/diagnosis", always, 200)
	opVerifyAudit           = secured("kms", "verifyAudit", http.MethodPost, "/audit/verify", always, 200)
	opWitnessAudit          = secured("kms", "witnessAudit", http.MethodPost, "/audit/witness", never, 200)
	opExportAudit           = secured("kms", "exportAudit", http.MethodGet, "/audit/export", always, 200)
	opArchiveAudit          = secured("kms", "archiveAudit", http.MethodPost, "/audit/archive", always, 200)
	opGetAuditOrder         = secured("kms", "getAuditOrder", http.MethodGet, "/audit/order", always, 200)
	opGetAuditCheckpoint    = secured("kms", "getAuditCheckpoint", http.MethodGet, "/audit/checkpoint", always, 200)
	opPutProofKey           = secured("kms", "putProofKey", http.MethodPut, "/proof-keys/{kid}", always, 204)
)

// Operations of the twofactor contract.
var (
	opGetTwofactorHealth     = public("twofactor", "getTwofactorHealth", http.MethodGet, "/health", never, 200)
	opGetTwofactorReadiness  = public("twofactor", "getTwofactorReadiness", http.MethodGet, "/ready", never, 200)
	opGetEnrolmentPage       = public("twofactor", "getEnrolmentPage", http.MethodGet, "/enroll", always, 200)
	opGetEnrolmentAsset      = public("twofactor", "getEnrolmentAsset", http.MethodGet, "/assets/{asset}", always, 200)
	opListFactors            = secured("twofactor", "listFactors", http.MethodGet, "/factors", always, 200)
	opEnrolTotp              = secured("twofactor", "enrolTotp", http.MethodPost, "/factors/totp", withKey, 201)
	opRevokeFactor           = secured("twofactor", "revokeFactor", http.MethodDelete, "/factors/{factorId}", never, 204)
	opGetTotpQrPng           = secured("twofactor", "getTotpQrPng", http.MethodGet, "/factors/totp/{factorId}/qr.png", always, 200)
	opGetTotpQrSvg           = secured("twofactor", "getTotpQrSvg", http.MethodGet, "/factors/totp/{factorId}/qr.svg", always, 200)
	opConfirmTotp            = secured("twofactor", "confirmTotp", http.MethodPost, "/factors/totp/{factorId}/confirm", never, 200)
	opEnrolDelivery          = secured("twofactor", "enrolDelivery", http.MethodPost, "/factors/delivery", never, 201)
	opConfirmDelivery        = secured("twofactor", "confirmDelivery", http.MethodPost, "/factors/delivery/{factorId}/confirm", never, 200)
	opCreateChallenge        = secured("twofactor", "createChallenge", http.MethodPost, "/challenges", never, 201)
	opGetChallenge           = secured("twofactor", "getChallenge", http.MethodGet, "/challenges/{challengeId}", always, 200)
	opCancelChallenge        = secured("twofactor", "cancelChallenge", http.MethodDelete, "/challenges/{challengeId}", never, 204)
	opResendChallenge        = secured("twofactor", "resendChallenge", http.MethodPost, "/challenges/{challengeId}/resend", never, 200)
	opVerifyChallenge        = secured("twofactor", "verifyChallenge", http.MethodPost, "/challenges/{challengeId}/verify", never, 200)
	opListDeliveries         = secured("twofactor", "listDeliveries", http.MethodGet, "/deliveries", always, 200)
	opReceiveTwilioStatus    = public("twofactor", "receiveTwilioStatus", http.MethodPost, "/hooks/twilio/status", never, 204)
	opEnrolPasskey           = secured("twofactor", "enrolPasskey", http.MethodPost, "/factors/passkey", never, 201)
	opConfirmPasskey         = secured("twofactor", "confirmPasskey", http.MethodPost, "/factors/passkey/{factorId}/confirm", never, 200)
	opCreatePasskeyChallenge = secured("twofactor", "createPasskeyChallenge", http.MethodPost, "/passkey-challenges", never, 201)
	opVerifyPasskey          = secured("twofactor", "verifyPasskey", http.MethodPost, "/passkey-challenges/{challengeId}/verify", never, 200)
	opCreatePasskeySignIn    = public("twofactor", "createPasskeySignIn", http.MethodPost, "/passkey-sign-ins", never, 201)
	opVerifyPasskeySignIn    = public("twofactor", "verifyPasskeySignIn", http.MethodPost, "/passkey-sign-ins/{signInId}/verify", never, 200)
	opVerifyOtp              = secured("twofactor", "verifyOtp", http.MethodPost, "/verify", never, 200)
	opUpdateFactor           = secured("twofactor", "updateFactor", http.MethodPatch, "/factors/{factorId}", never, 200)
	opResyncTotp             = secured("twofactor", "resyncTotp", http.MethodPost, "/factors/totp/{factorId}/resync", never, 200)
	opGetRecoveryCodes       = secured("twofactor", "getRecoveryCodes", http.MethodGet, "/recovery-codes", always, 200)
	opCreateRecoveryCodes    = secured("twofactor", "createRecoveryCodes", http.MethodPost, "/recovery-codes", never, 201)
	opUseRecoveryCode        = secured("twofactor", "useRecoveryCode", http.MethodPost, "/recovery-codes/use", never, 200)
	opVerifyOtpFor           = secured("twofactor", "verifyOtpFor", http.MethodPost, "/subjects/{subjectId}/verify", never, 200)
	opResetFactors           = secured("twofactor", "resetFactors", http.MethodPost, "/subjects/{subjectId}/reset", never, 200)
)

// Operations of the sequence contract.
var (
	opGetSequenceHealth    = public("sequence", "getSequenceHealth", http.MethodGet, "/health", never, 200)
	opGetSequenceReadiness = public("sequence", "getSequenceReadiness", http.MethodGet, "/ready", never, 200)
	opCreateElement        = secured("sequence", "createElement", http.MethodPost, "/scopes/{scope}/{elementType}/elements", withKey, 201)
	opListElements         = secured("sequence", "listElements", http.MethodGet, "/scopes/{scope}/{elementType}/elements", always, 200)
	opCreateElements       = secured("sequence", "createElements", http.MethodPost, "/scopes/{scope}/{elementType}/element-batches", withKey, 201)
	opGetElement           = secured("sequence", "getElement", http.MethodGet, "/scopes/{scope}/{elementType}/elements/{elementId}", always, 200)
	opOmitElement          = secured("sequence", "omitElement", http.MethodPost, "/scopes/{scope}/{elementType}/elements/{elementId}/omit", always, 200)
	opRestoreElement       = secured("sequence", "restoreElement", http.MethodPost, "/scopes/{scope}/{elementType}/elements/{elementId}/restore", always, 200)
	opCreateVersion        = secured("sequence", "createVersion", http.MethodPost, "/scopes/{scope}/{elementType}/elements/{elementId}/versions", withKey, 201)
	opListVersions         = secured("sequence", "listVersions", http.MethodGet, "/scopes/{scope}/{elementType}/elements/{elementId}/versions", always, 200)
	opGetVersion           = secured("sequence", "getVersion", http.MethodGet, "/scopes/{scope}/{elementType}/elements/{elementId}/versions/{version}", always, 200)
	opReorderElements      = secured("sequence", "reorderElements", http.MethodPost, "/scopes/{scope}/{elementType}/reorder", never, 200)
	opListElementScopes    = secured("sequence", "listElementScopes", http.MethodGet, "/scopes", always, 200)
	opGetElementScope      = secured("sequence", "getElementScope", http.MethodGet, "/scopes/{scope}", always, 200)
	opExportScope          = secured("sequence", "exportScope", http.MethodGet, "/scopes/{scope}/export", always, 200)
	opImportScope          = secured("sequence", "importScope", http.MethodPost, "/scopes/{scope}/import", always, 200)
	opListChanges          = secured("sequence", "listChanges", http.MethodGet, "/scopes/{scope}/changes", always, 200)
	opStreamChanges        = secured("sequence", "streamChanges", http.MethodGet, "/scopes/{scope}/changes/stream", always, 200)
	opUpdateElement        = secured("sequence", "updateElement", http.MethodPatch, "/scopes/{scope}/{elementType}/elements/{elementId}", withKey, 200)
	opMoveElement          = secured("sequence", "moveElement", http.MethodPost, "/scopes/{scope}/{elementType}/elements/{elementId}/move", never, 200)
	opPreviewMove          = secured("sequence", "previewMove", http.MethodPost, "/scopes/{scope}/{elementType}/elements/{elementId}/move/preview", always, 200)
	opRestoreVersion       = secured("sequence", "restoreVersion", http.MethodPost, "/scopes/{scope}/{elementType}/elements/{elementId}/versions/{version}/restore", withKey, 201)
	opCompareVersions      = secured("sequence", "compareVersions", http.MethodGet, "/scopes/{scope}/{elementType}/elements/{elementId}/versions/{version}/compare", always, 200)
	opPreviewReorder       = secured("sequence", "previewReorder", http.MethodPost, "/scopes/{scope}/{elementType}/reorder/preview", always, 200)
	opListDeadLetters      = secured("sequence", "listDeadLetters", http.MethodGet, "/dead-letters", always, 200)
	opRetryDeadLetters     = secured("sequence", "retryDeadLetters", http.MethodPost, "/dead-letters/retry", always, 200)
	opGetNumberFormat      = secured("sequence", "getNumberFormat", http.MethodGet, "/scopes/{scope}/{elementType}/number-format", always, 200)
	opPutNumberFormat      = secured("sequence", "putNumberFormat", http.MethodPut, "/scopes/{scope}/{elementType}/number-format", always, 200)
	opReindexScope         = secured("sequence", "reindexScope", http.MethodPost, "/scopes/{scope}/reindex", always, 202)
	opSearchElements       = secured("sequence", "searchElements", http.MethodPost, "/scopes/{scope}/search", always, 200)
)

// Operations of the search contract.
var (
	opGetSearchHealth        = public("search", "getSearchHealth", http.MethodGet, "/health", never, 200)
	opGetSearchReadiness     = public("search", "getSearchReadiness", http.MethodGet, "/ready", never, 200)
	opGetEngine              = secured("search", "getEngine", http.MethodGet, "/engine", always, 200)
	opCreateCollection       = secured("search", "createCollection", http.MethodPost, "/collections", withKey, 201)
	opListCollections        = secured("search", "listCollections", http.MethodGet, "/collections", always, 200)
	opGetCollection          = secured("search", "getCollection", http.MethodGet, "/collections/{collection}", always, 200)
	opGetCollectionSchema    = secured("search", "getCollectionSchema", http.MethodGet, "/collections/{collection}/schema", always, 200)
	opPutCollectionSchema    = secured("search", "putCollectionSchema", http.MethodPut, "/collections/{collection}/schema", never, 200)
	opStartReindex           = secured("search", "startReindex", http.MethodPost, "/collections/{collection}/reindexes", never, 202)
	opListReindexes          = secured("search", "listReindexes", http.MethodGet, "/collections/{collection}/reindexes", always, 200)
	opGetReindex             = secured("search", "getReindex", http.MethodGet, "/collections/{collection}/reindexes/{reindexId}", always, 200)
	opAbortReindex           = secured("search", "abortReindex", http.MethodPost, "/collections/{collection}/reindexes/{reindexId}/abort", never, 200)
	opRollbackReindex        = secured("search", "rollbackReindex", http.MethodPost, "/collections/{collection}/reindexes/{reindexId}/rollback", never, 200)
	opListSearchSets         = secured("search", "listSearchSets", http.MethodGet, "/sets/{kind}", always, 200)
	opGetSearchSet           = secured("search", "getSearchSet", http.MethodGet, "/sets/{kind}/{set}", always, 200)
	opPutSearchSet           = secured("search", "putSearchSet", http.MethodPut, "/sets/{kind}/{set}", never, 200, 201)
	opDeleteSearchSet        = secured("search", "deleteSearchSet", http.MethodDelete, "/sets/{kind}/{set}", never, 204)
	opGetCollectionSets      = secured("search", "getCollectionSets", http.MethodGet, "/collections/{collection}/sets", always, 200)
	opPutCollectionSets      = secured("search", "putCollectionSets", http.MethodPut, "/collections/{collection}/sets", never, 200)
	opListCollectionGrants   = secured("search", "listCollectionGrants", http.MethodGet, "/collections/{collection}/grants", always, 200)
	opPutCollectionGrant     = secured("search", "putCollectionGrant", http.MethodPut, "/collections/{collection}/grants/{grantee}", never, 200)
	opDeleteCollectionGrant  = secured("search", "deleteCollectionGrant", http.MethodDelete, "/collections/{collection}/grants/{grantee}", never, 204)
	opDeleteCollection       = secured("search", "deleteCollection", http.MethodDelete, "/collections/{collection}", never, 204)
	opSyncDocuments          = secured("search", "syncDocuments", http.MethodPost, "/collections/{collection}/documents/sync", always, 200, 202)
	opGetDocument            = secured("search", "getDocument", http.MethodGet, "/collections/{collection}/documents/{documentId}", always, 200)
	opPutDocument            = secured("search", "putDocument", http.MethodPut, "/collections/{collection}/documents/{documentId}", always, 204)
	opPatchDocument          = secured("search", "patchDocument", http.MethodPatch, "/collections/{collection}/documents/{documentId}", always, 204)
	opDeleteDocument         = secured("search", "deleteDocument", http.MethodDelete, "/collections/{collection}/documents/{documentId}", never, 204)
	opExportDocuments        = secured("search", "exportDocuments", http.MethodPost, "/collections/{collection}/documents/export", always, 200)
	opListJobs               = secured("search", "listJobs", http.MethodGet, "/collections/{collection}/jobs", always, 200)
	opGetJob                 = secured("search", "getJob", http.MethodGet, "/collections/{collection}/jobs/{jobId}", always, 200)
	opCancelJob              = secured("search", "cancelJob", http.MethodPost, "/collections/{collection}/jobs/{jobId}/cancel", never, 200)
	opGetJobFailures         = secured("search", "getJobFailures", http.MethodGet, "/collections/{collection}/jobs/{jobId}/failures", always, 200)
	opDeleteDocumentsByQuery = secured("search", "deleteDocumentsByQuery", http.MethodPost, "/collections/{collection}/documents/delete-by-query", never, 200)
	opSearchDocuments        = secured("search", "searchDocuments", http.MethodPost, "/collections/{collection}/search", always, 200)
	opCreateSearchKey        = secured("search", "createSearchKey", http.MethodPost, "/collections/{collection}/search-keys", never, 201)
	opMultiSearch            = secured("search", "multiSearch", http.MethodPost, "/search", always, 200)
	opUnionSearch            = secured("search", "unionSearch", http.MethodPost, "/search/union", always, 200)
)

// Operations of the gateway contract.
var (
	opGetGatewayHealth       = public("gateway", "getGatewayHealth", http.MethodGet, "/gateway/v1/health", never, 200)
	opGetGatewayReadiness    = public("gateway", "getGatewayReadiness", http.MethodGet, "/gateway/v1/ready", never, 200)
	opListGatewayServices    = public("gateway", "listGatewayServices", http.MethodGet, "/gateway/v1/services", always, 200)
	opGetAuthorizationServer = public("gateway", "getAuthorizationServer", http.MethodGet, "/.well-known/oauth-authorization-server", always, 200)
	opGetOpenIDProvider      = public("gateway", "getOpenIDProvider", http.MethodGet, "/.well-known/openid-configuration", always, 200)
	opGetContract            = public("gateway", "getContract", http.MethodGet, "/openapi/{document}", always, 200)
	opListProblemPages       = public("gateway", "listProblemPages", http.MethodGet, "/problems", always, 200)
	opGetFavicon             = public("gateway", "getFavicon", http.MethodGet, "/favicon.ico", always, 200)
	opGetProblemPage         = public("gateway", "getProblemPage", http.MethodGet, "/problems/{code}", always, 200)
	opGetStartPage           = public("gateway", "getStartPage", http.MethodGet, "/", always, 200)
	opGetDocs                = public("gateway", "getDocs", http.MethodGet, "/docs", always, 200)
	opGetDocsAsset           = public("gateway", "getDocsAsset", http.MethodGet, "/docs/{asset}", always, 200)
	opGetConsole             = public("gateway", "getConsole", http.MethodGet, "/console", always, 200)
	opGetConsoleAsset        = public("gateway", "getConsoleAsset", http.MethodGet, "/console/{asset}", always, 200)
)
