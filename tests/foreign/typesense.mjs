// What a small search page does with the clients of others: npm's typesense, and InstantSearch's engine (algoliasearch-helper) by way of
// typesense-instantsearch-adapter. Settings come by the environment; the outcome is one JSON object on standard output.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import helperOf from 'algoliasearch-helper'
import Typesense from 'typesense'

const { URL_OF_ENGINE, KEY } = process.env
const at = new URL(URL_OF_ENGINE)
const node = { host: at.hostname, port: Number(at.port), protocol: 'http' }
// As pages without a bundler load it: its modules name each other without the endings that Node asks for. Its requests go out by fetch.
globalThis.self = globalThis
const Adapter = createRequire(import.meta.url)('typesense-instantsearch-adapter/dist/typesense-instantsearch-adapter.min.js')
const out = {}
const admin = new Typesense.Client({ nodes: [node], apiKey: KEY, numRetries: 0, connectionTimeoutSeconds: 10 })

// The page's data: a collection, an import, a synonym, an override and an alias.
const kinds = ['shoes', 'coats', 'hats']
const towns = [[59.91, 10.75], [48.85, 2.35], [38.72, -9.14]]
const goods = Array.from({ length: 60 }, (_, i) => ({
  id: String(i + 1), name: `${['blue', 'red', 'green', 'black'][i % 4]} ${kinds[i % 3].slice(0, -1)} ${i + 1}`, kind: kinds[i % 3], price: 10 + i,
  rating: (i % 5) + 0.5, tags: i % 2 ? ['new'] : ['sale', 'new'], place: towns[i % 3], sold: i,
}))
{
  await admin.collections().create({
    name: 'goods_1', default_sorting_field: 'sold', fields: [
      { name: 'name', type: 'string' }, { name: 'kind', type: 'string', facet: true }, { name: 'price', type: 'int32', facet: true }, { name: 'rating', type: 'float', facet: true },
      { name: 'tags', type: 'string[]', facet: true }, { name: 'place', type: 'geopoint' }, { name: 'sold', type: 'int32' },
    ],
  })
  const lines = await admin.collections('goods_1').documents().import(goods, { action: 'create' })
  assert.equal(lines.filter((l) => l.success).length, 60)
  await assert.rejects(admin.collections('goods_1').documents().import([{ id: '1', name: 'again' }], { action: 'create' }), (e) => e.importResults[0].success === false)
  await admin.aliases().upsert('goods', { collection_name: 'goods_1' })
  await admin.collections('goods_1').synonyms().upsert('s', { synonyms: ['footwear', 'shoe'] })
  await admin.collections().create({ name: 'pages', fields: [{ name: 'title', type: 'string' }] })
  await admin.collections('pages').documents().upsert({ id: 'p', title: 'How to wear a red coat' })
  assert.equal((await admin.collections('goods_1').documents('7').retrieve()).name, 'green shoe 7')
  assert.equal((await admin.collections('goods').documents().search({ q: 'footwear', query_by: 'name' })).found, 20)
  await assert.rejects(admin.collections('goods').documents().search({ q: 'x', query_by: 'nothing' }), (e) => e.httpStatus === 404)
  assert.equal((await admin.health.retrieve()).ok, true)
  assert.equal((await admin.collections('goods_1').documents().export()).split('\n').filter(Boolean).length, 60)
  assert.equal((await admin.collections('goods_1').documents().update({ rating: 4 }, { filter_by: 'price:>=68' })).num_updated, 2)
  assert.equal((await admin.collections('goods_1').documents().delete({ filter_by: 'price:>=69' })).num_deleted, 1)
  out.typesense = true
}

// The key of the page: it may search and nothing else.
const parent = (await admin.keys().create({ description: 'page', actions: ['documents:search'], collections: ['goods', 'goods_1', 'pages'] })).value
const adapter = (apiKey, more = {}) => new Adapter({
  server: { nodes: [node], apiKey, numRetries: 0, cacheSearchResultsForSeconds: 0 },
  additionalSearchParameters: { query_by: 'name' }, geoLocationField: 'place', ...more,
}).searchClient
const page = (client, index, options) => {
  const helper = helperOf(client, index, options)
  return (...change) => {
    const done = new Promise((resolve, reject) => {
      helper.once('result', ({ results }) => resolve(results))
      helper.once('error', ({ error }) => reject(error))
    })
    for (const c of change) c(helper)
    helper.search()
    return done
  }
}

// A search page: words with typos, marks, a hierarchy of refinements, statistics for a slider, sorting by another index.
{
  const show = page(adapter(parent), 'goods', { hitsPerPage: 5, facets: ['price', 'tags'], disjunctiveFacets: ['kind'], attributesToHighlight: ['name'] })
  let r = await show((h) => h.setQuery('bleu'))
  assert.equal(r.nbHits, 15)
  assert.match(r.hits[0]._highlightResult.name.value, /<mark>blue<\/mark>/)
  r = await show((h) => h.setQuery('').toggleFacetRefinement('kind', 'shoes'))
  assert.equal(r.nbHits, 20)
  assert.deepEqual(r.getFacetValues('kind').map((v) => [v.name, v.count, v.isRefined]), [['shoes', 20, true], ['coats', 20, false], ['hats', 19, false]], 'others stay countable')
  r = await show((h) => h.toggleFacetRefinement('kind', 'coats').addNumericRefinement('price', '<=', 20))
  assert.equal(r.nbHits, 8)
  assert.equal(r.getFacetStats('price').max, 20)
  r = await show((h) => h.clearRefinements().toggleFacetRefinement('tags', 'sale'))
  assert.equal(r.nbHits, 30)
  r = await page(adapter(parent), 'goods/sort/price:asc', { hitsPerPage: 3 })()
  assert.deepEqual(r.hits.map((h) => h.price), [10, 11, 12])
  const values = await helperOf(adapter(parent), 'goods', { disjunctiveFacets: ['kind'], facets: ['tags'] }).searchForFacetValues('kind', 'sho', 10, {})
  assert.deepEqual(values.facetHits.map((v) => [v.value, v.count]), [['shoes', 20]])
  out.facets = true
}

// Infinite hits: the pages one by one are all documents once, in order.
{
  const seen = []
  const show = page(adapter(parent), 'goods', { hitsPerPage: 12 })
  for (let n = 0; n < 5; n++) {
    const r = await show((h) => h.setPage(n))
    assert.equal(r.nbPages, 5)
    seen.push(...r.hits.map((h) => h.sold))
  }
  assert.deepEqual(seen, goods.slice(0, 59).map((g) => g.sold).reverse())
  out.infinite = true
}

// A map: around a place, and inside a rectangle.
{
  let r = await page(adapter(parent), 'goods', { aroundLatLng: '59.9, 10.7', aroundRadius: 50_000, hitsPerPage: 50 })()
  assert.equal(r.nbHits, 20)
  assert.ok(r.hits.every((h) => h.kind === 'shoes'))
  assert.ok(r.hits[0]._geoloc.lat > 59)
  r = await page(adapter(parent), 'goods', { insideBoundingBox: [[49.5, 1.5, 48.0, 3.0]], hitsPerPage: 50 })()
  assert.equal(r.nbHits, 20)
  assert.ok(r.hits.every((h) => h.kind === 'coats'))
  out.geo = true
}

// Federated search: two collections in one request, and one list of both.
{
  const both = adapter(parent, { collectionSpecificSearchParameters: { pages: { query_by: 'title' } } })
  const { results } = await both.search([{ indexName: 'goods', params: { query: 'red coat', hitsPerPage: 3 } }, { indexName: 'pages', params: { query: 'red coat' } }])
  assert.equal(results.length, 2)
  assert.match(results[0].hits[0].name, /^red coat/)
  assert.equal(results[1].hits[0].objectID, 'p')
  const one = await admin.multiSearch.perform({
    union: true, searches: [
      { collection: 'goods', q: 'red coat', query_by: 'name', sort_by: '_text_match:desc' }, { collection: 'pages', q: 'red coat', query_by: 'title', sort_by: '_text_match:desc' },
    ],
  })
  assert.equal(one.found, 6)
  assert.ok(one.hits.some((h) => h.document.id === 'p' && h.search_index === 1))
  out.federated = true
}

// Scoped keys: what they embed holds whatever the page asks for, and they open nothing else.
{
  const scoped = admin.keys().generateScopedSearchKey(parent, { filter_by: 'kind:=hats', exclude_fields: 'sold' })
  const show = page(adapter(scoped), 'goods', { disjunctiveFacets: ['kind'], hitsPerPage: 50 })
  let r = await show()
  assert.equal(r.nbHits, 19)
  assert.ok(r.hits.every((h) => h.kind === 'hats' && h.sold === undefined))
  r = await show((h) => h.toggleFacetRefinement('kind', 'shoes'))
  assert.equal(r.nbHits, 0)
  const tenant = new Typesense.Client({ nodes: [node], apiKey: scoped, numRetries: 0 })
  await assert.rejects(tenant.collections('goods_1').documents('1').retrieve(), (e) => e.httpStatus === 401)
  await assert.rejects(tenant.collections('goods_1').documents().upsert({ id: '1' }), (e) => e.httpStatus === 401)
  const short = admin.keys().generateScopedSearchKey(parent, { expires_at: 1 })
  await assert.rejects(adapter(short).search([{ indexName: 'goods', params: { query: '' } }]))
  out.scoped = true
}

process.stdout.write(JSON.stringify(out))
