// A web app by openid-client, from the issuer alone (OpenID Connect Discovery). It prints "go ADDRESS" where a browser is to go, and reads where that came back.
import assert from 'node:assert/strict'
import readline from 'node:readline/promises'
import * as oidc from 'openid-client'

const { ISSUER, CLIENT_ID, CLIENT_SECRET, CALLBACK } = process.env
const options = { execute: [oidc.allowInsecureRequests] } // http on loopback
const config = await oidc.discovery(new URL(ISSUER), CLIENT_ID, undefined, oidc.ClientSecretBasic(CLIENT_SECRET), options)
const input = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]()

// begin sends a browser to the sign-in page; parameters are more of its request.
const begin = async (parameters = {}) => {
  const verifier = oidc.randomPKCECodeVerifier()
  const checks = { pkceCodeVerifier: verifier, expectedState: oidc.randomState(), expectedNonce: oidc.randomNonce(), idTokenExpected: true }
  const to = oidc.buildAuthorizationUrl(config, {
    redirect_uri: CALLBACK, scope: 'openid profile offline_access', code_challenge: await oidc.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
    state: checks.expectedState, nonce: checks.expectedNonce, ...parameters,
  })
  console.log(`go ${to.href}`)
  const { value } = await input.next()
  return { back: new URL(value), checks }
}

assert.ok(config.serverMetadata().supportsPKCE())
const { back, checks } = await begin({ max_age: '3600', login_hint: 'ada', display: 'page' })
const tokens = await oidc.authorizationCodeGrant(config, back, { ...checks, maxAge: 3600 })
const claims = tokens.claims()
assert.equal(claims.preferred_username, 'ada')
assert.ok(['aal1', 'aal2'].includes(claims.acr))
assert.equal((await oidc.fetchUserInfo(config, tokens.access_token, claims.sub)).preferred_username, 'ada')
const renewed = await oidc.refreshTokenGrant(config, tokens.refresh_token)
assert.notEqual(renewed.refresh_token, tokens.refresh_token)

// A code of another sign-in, and one that is shown again.
const other = await begin()
await assert.rejects(oidc.authorizationCodeGrant(config, other.back, { ...other.checks, pkceCodeVerifier: checks.pkceCodeVerifier }), (e) => e.error === 'invalid_grant')
await assert.rejects(oidc.authorizationCodeGrant(config, other.back, { ...other.checks, expectedState: 'x' }))
const mixed = new URL(other.back)
mixed.searchParams.set('iss', 'https://evil.example')
await assert.rejects(oidc.authorizationCodeGrant(config, mixed, other.checks), (e) => /"iss"/.test(e.cause.message))
await assert.rejects(oidc.authorizationCodeGrant(config, other.back, { ...other.checks, expectedNonce: 'x' }), (e) => /nonce/.test(e.cause.message))
await assert.rejects(oidc.authorizationCodeGrant(config, back, checks), (e) => e.error === 'invalid_grant')
await assert.rejects(oidc.refreshTokenGrant(config, renewed.refresh_token), (e) => e.error === 'invalid_grant')

// What is wrong comes back as an error.
const plain = await begin({ code_challenge_method: 'plain' })
await assert.rejects(oidc.authorizationCodeGrant(config, plain.back, plain.checks), (e) => e.error === 'invalid_request')

const end = oidc.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, post_logout_redirect_uri: CALLBACK })
assert.equal((await fetch(end)).status, 200)
console.log('done')
process.exit(0)
