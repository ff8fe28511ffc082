// What the service does by itself. That nobody comes to it unguarded is tested at the gateway (conformance_test.go).
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createServer } from './server.mjs'

const server = createServer()
let base

before(() => new Promise((done) => server.listen(0, '127.0.0.1', () => { base = `http://127.0.0.1:${server.address().port}/v1/notes`; done() })))
after(() => new Promise((done) => { server.closeAllConnections(); server.close(done) }))

// as is the header by which the gateway says who calls.
const as = (sub) => ({ Authorization: `Bearer e30.${Buffer.from(JSON.stringify({ sub })).toString('base64url')}.x` })

async function call(sub, method, path = '', body, header = {}) {
  const init = { method, headers: { ...(sub && as(sub)), ...header } }
  if (body) Object.assign(init, { body: JSON.stringify(body) })
  const answer = await fetch(base + path, init)
  const text = await answer.text()
  return { status: answer.status, etag: answer.headers.get('etag'), body: text && JSON.parse(text) }
}

test('a note belongs to the sub of the token', async () => {
  const made = await call('usr_1', 'POST', '', { title: 'a', text: 'b' })
  assert.equal(made.status, 201)
  assert.match(made.body.id, /^note_[A-Z2-7]{26}$/)
  assert.deepEqual((await call('usr_1', 'GET', `/${made.body.id}`)).body, made.body)
  for (const method of ['GET', 'DELETE']) assert.equal((await call('usr_2', method, `/${made.body.id}`)).status, 404)
  assert.deepEqual((await call('usr_2', 'GET')).body.items, [])
  assert.equal((await call('usr_1', 'DELETE', `/${made.body.id}`)).status, 204)
  assert.equal((await call('usr_1', 'GET', `/${made.body.id}`)).status, 404)
})

test('a change needs the version that was read', async () => {
  const { body: { id }, etag } = await call('usr_3', 'POST', '', { title: 'a', text: 'b' })
  const put = (header) => call('usr_3', 'PUT', `/${id}`, { title: 'c', text: 'd' }, header)
  assert.equal((await put({})).status, 428)
  const changed = await put({ 'If-Match': etag })
  assert.deepEqual([changed.status, changed.etag, changed.body.title], [200, '"2"', 'c'])
  assert.equal((await put({ 'If-Match': etag })).status, 412)
})

test('pages give every note once', async () => {
  for (const title of ['a', 'b', 'c', 'd', 'e']) await call('usr_4', 'POST', '', { title, text: '' })
  const seen = []
  for (let path = '?limit=2'; path !== undefined;) {
    const { body } = await call('usr_4', 'GET', path)
    seen.push(...body.items.map((note) => note.title))
    path = body.nextCursor && `?limit=2&cursor=${body.nextCursor}`
  }
  assert.deepEqual(seen, ['a', 'b', 'c', 'd', 'e'])
  assert.equal((await call('usr_4', 'GET', '?cursor=AAAA')).status, 400)
})

test('nobody without a token gets anything', async () => {
  for (const header of [{}, { Authorization: 'Basic YTpi' }, { Authorization: 'Bearer' }, { Authorization: 'Bearer a.b.c' }, { Authorization: 'Bearer e30.e30.x' }]) {
    const answer = await call(undefined, 'GET', '', undefined, header)
    assert.equal(answer.status, 401)
    assert.equal(answer.body.code, 'authentication_required')
  }
})

test('other paths and methods are unknown', async () => {
  for (const [method, path] of [['GET', '/../x'], ['PATCH', ''], ['POST', '/note_x'], ['GET', 'x']]) assert.equal((await call('usr_1', method, path)).status, 404)
})

test('a body that is too large is refused', async () => {
  assert.equal((await call('usr_1', 'POST', '', { title: 'a', text: 'x'.repeat(70_000) })).status, 413)
})
