// What clients of others do from the metadata alone. Settings come by the environment; the outcome is one JSON object on standard output.
import assert from 'node:assert/strict'
import * as jose from 'jose'
import * as oauth from 'oauth4webapi'
import * as oidc from 'openid-client'

const { ISSUER, KEY_ID, KEY, REFRESH_TOKEN, REFRESH_TOKEN_2 } = process.env
const out = {}

// openid-client finds everything by the issuer (RFC 8414).
{
  const options = { algorithm: 'oauth2', execute: [oidc.allowInsecureRequests] }
  const client = await oidc.discovery(new URL(ISSUER), KEY_ID, undefined, oidc.ClientSecretBasic(KEY), options)
  const tokens = await oidc.clientCredentialsGrant(client, { resource: 'sequence' })
  assert.equal(tokens.token_type.toLowerCase(), 'bearer')
  assert.equal((await oidc.tokenIntrospection(client, tokens.access_token)).active, true)
  await oidc.tokenRevocation(client, tokens.access_token)
  assert.equal((await oidc.tokenIntrospection(client, tokens.access_token)).active, false)

  const person = await oidc.discovery(new URL(ISSUER), 'fountain', undefined, oidc.None(), options)
  const first = await oidc.refreshTokenGrant(person, REFRESH_TOKEN, { resource: 'kms' })
  assert.notEqual(first.refresh_token, REFRESH_TOKEN)
  const second = await oidc.refreshTokenGrant(person, first.refresh_token)
  await oidc.tokenRevocation(person, second.refresh_token)
  await assert.rejects(oidc.refreshTokenGrant(person, second.refresh_token), (e) => e.error === 'invalid_grant')
  out.openidClient = true
}

// oauth4webapi, by hand, with the secret in the body; it checks the access token as RFC 9068 has it.
let access
{
  const insecure = { [oauth.allowInsecureRequests]: true }
  const issuer = new URL(ISSUER)
  const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure }))
  const client = { client_id: KEY_ID }
  const auth = oauth.ClientSecretPost(KEY)
  const answer = await oauth.clientCredentialsGrantRequest(as, client, auth, { resource: 'sequence' }, insecure)
  const tokens = await oauth.processClientCredentialsResponse(as, client, answer)
  access = tokens.access_token
  const told = await oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, auth, access, insecure))
  assert.equal(told.active, true)
  const request = new Request('http://127.0.0.1/elements', { headers: { Authorization: `Bearer ${access}` } })
  const claims = await oauth.validateJwtAccessToken(as, request, 'sequence', { signingAlgorithms: ['EdDSA', 'Ed25519'], ...insecure })
  assert.equal(claims.client_id, KEY_ID)

  const person = { client_id: 'fountain' }
  const refreshed = await oauth.refreshTokenGrantRequest(as, person, oauth.None(), REFRESH_TOKEN_2, insecure)
  assert.ok((await oauth.processRefreshTokenResponse(as, person, refreshed)).refresh_token)
  await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, access, insecure))
  const after = await oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, auth, access, insecure))
  assert.equal(after.active, false)
  out.oauth4webapi = true
  out.jwksUri = as.jwks_uri
}

// jose verifies by the key set.
{
  const keys = jose.createRemoteJWKSet(new URL(out.jwksUri))
  const { payload } = await jose.jwtVerify(access, keys, { issuer: ISSUER, audience: 'sequence', typ: 'at+jwt' })
  assert.equal(payload.principal, 'user')
  await assert.rejects(jose.jwtVerify(access, keys, { issuer: ISSUER, audience: 'search' }))
  out.jose = true
}
console.log(JSON.stringify(out))
