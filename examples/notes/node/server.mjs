// The same service by somebody who uses no library of ours, nor of others: it shows that the gateway guards strangers.
//
// It reads who calls out of the token without verifying it. That is sound for one reason alone: it listens on loopback, and the one who calls it there
// is the gateway, which has verified the token, its audience, its scopes and the second factor, and has checked the request against notes.yaml. Whoever may
// start programs on this machine can call it too and say to be anybody. Where that matters, or where the service is on another machine, verify the token
// (clients/fountain/verify does it for Go; any JOSE library can, by the issuer's metadata) or let nobody but the gateway reach the port.
//
// Notes are kept in memory: Node 20 has no SQLite.
import { randomBytes } from 'node:crypto'
import http from 'node:http'
import { pathToFileURL } from 'node:url'

const maxBody = 64 * 1024
const maxNotes = 10000 // of one owner
const base = '/v1/notes' // servers and path of notes.yaml

class Problem extends Error {
  constructor(status, code, title, detail, header = {}) {
    super(detail)
    Object.assign(this, { status, code, title, detail, header })
  }
}
const unknown = () => new Problem(404, 'not_found', 'Not found', 'There is no such note.')

// caller returns the sub of the token that the gateway has verified.
function caller(request) {
  const [scheme, token] = (request.headers.authorization ?? '').split(' ')
  try {
    if (scheme.toLowerCase() !== 'bearer') throw new Error('no bearer token')
    const { sub } = JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString())
    if (typeof sub !== 'string' || sub === '') throw new Error('no sub')
    return sub
  } catch {
    throw new Problem(401, 'authentication_required', 'Authentication required', 'The gateway sends a bearer token.', { 'WWW-Authenticate': 'Bearer realm="notes"' })
  }
}

async function draft(request) {
  const parts = []
  let size = 0
  for await (const part of request) {
    if ((size += part.length) <= maxBody) parts.push(part) // the rest is read and dropped: leaving here would cut the connection before the answer
  }
  if (size > maxBody) throw new Problem(413, 'body_too_large', 'Body too large', 'The body is larger than this operation accepts.')
  const { title, text } = JSON.parse(Buffer.concat(parts).toString()) // the gateway has held it against the contract
  return { title, text }
}

// newId is "note_" and 26 characters of base32: 130 random bits.
const newId = () => 'note_' + Array.from(randomBytes(26), (b) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[b % 32]).join('')

/** createServer returns the service as a node:http server; listen on 127.0.0.1 with it. */
export function createServer() {
  const owners = new Map() // sub -> its notes by id, the oldest first
  let seq = 0
  const of = (owner) => owners.get(owner) ?? new Map()
  const shown = ({ seq, ...note }) => note
  const one = (status, note) => ({ status, body: shown(note), header: { ETag: `"${note.version}"` } })
  const find = (owner, id) => of(owner).get(id) ?? (() => { throw unknown() })()

  const operations = {
    'GET list': (owner, { query }) => {
      const limit = Number(query.get('limit') ?? 50)
      const after = query.has('cursor') ? Number(Buffer.from(query.get('cursor'), 'base64url').toString()) : 0
      if (!Number.isInteger(after)) throw new Problem(400, 'invalid_cursor', 'Invalid cursor', 'The cursor was not made by this list.')
      const rest = [...of(owner).values()].filter((note) => note.seq > after)
      const items = rest.slice(0, limit)
      const body = { items: items.map(shown) }
      if (rest.length > limit) body.nextCursor = Buffer.from(String(items.at(-1).seq)).toString('base64url')
      return { status: 200, body }
    },
    'POST list': async (owner, { request }) => {
      const said = await draft(request)
      if (!owners.has(owner)) owners.set(owner, new Map())
      if (of(owner).size >= maxNotes) throw new Problem(409, 'limit_reached', 'Limit reached', 'Nobody keeps more notes than that.')
      const now = new Date().toISOString()
      const note = { seq: ++seq, id: newId(), ...said, version: 1, createdAt: now, updatedAt: now }
      of(owner).set(note.id, note)
      return one(201, note)
    },
    'GET note': (owner, { id }) => one(200, find(owner, id)),
    'PUT note': async (owner, { id, request }) => {
      const said = await draft(request)
      const note = find(owner, id) // after the body: nothing happens between this and the change
      const tag = request.headers['if-match']
      if (tag === undefined) throw new Problem(428, 'precondition_missing', 'Precondition required', 'If-Match is needed.')
      if (tag !== `"${note.version}"`) throw new Problem(412, 'precondition_failed', 'Precondition failed', 'The note has changed.')
      return one(200, Object.assign(note, said, { version: note.version + 1, updatedAt: new Date().toISOString() }))
    },
    'DELETE note': (owner, { id }) => {
      if (!of(owner).delete(id)) throw unknown()
      return { status: 204 }
    },
  }

  async function answer(request) {
    const { pathname, searchParams: query } = new URL(request.url, 'http://127.0.0.1')
    if (pathname === '/health') return { status: 204 }
    const id = pathname.startsWith(base + '/') ? pathname.slice(base.length + 1) : undefined
    const operation = operations[`${request.method} ${pathname === base ? 'list' : 'note'}`]
    if (operation === undefined || (pathname !== base && id === undefined)) throw new Problem(404, 'not_found', 'Not found', 'There is no such path.')
    return operation(caller(request), { id, query, request })
  }

  function send(response, { status, body, header = {} }, type = 'application/json') {
    const text = body === undefined ? undefined : JSON.stringify(body)
    response.writeHead(status, text === undefined ? header : { 'Content-Type': type, 'Content-Length': Buffer.byteLength(text), ...header })
    response.end(text)
  }

  return http.createServer({ requestTimeout: 15_000, headersTimeout: 5_000 }, async (request, response) => {
    try {
      send(response, await answer(request))
    } catch (error) {
      if (!(error instanceof Problem)) console.error('a request failed:', error)
      const p = error instanceof Problem ? error : new Problem(500, 'internal_error', 'Internal error', 'The service failed.')
      const requestId = request.headers['x-request-id'] ?? `req_${randomBytes(16).toString('hex')}`
      const type = `/problems/${p.code}`
      const body = { type, title: p.title, status: p.status, detail: p.detail, instance: `urn:fountain:request:${requestId}`, code: p.code, requestId }
      send(response, { status: p.status, body, header: p.header }, 'application/problem+json')
    }
  })
}

// node server.mjs [PORT]
if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const server = createServer()
  server.listen(Number(process.argv[2] ?? process.env.NOTES_PORT ?? 9000), '127.0.0.1', () => console.log(`listening http://127.0.0.1:${server.address().port}`))
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => server.close()) // requests that run may end
}
