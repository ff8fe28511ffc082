//go:build browser

package browser

import (
	"bufio"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// chromium is a headless browser that is spoken to by the DevTools protocol over a pipe: JSON messages, each ended by a NUL.
type chromium struct {
	t      *testing.T
	to     *os.File
	from   *bufio.Reader
	number int
	hung   *time.Timer
	events []message // what pages have told into their consoles, and the faults of their scripts

	origins []string          // whose pages and files are expected; http://... without a slash at the end
	foreign map[string]string // by the number of the request: where a page went that is of no expected origin

	refusal *refusal // what is answered in the place of a service
}

// refusal is an answer that the browser gets without anybody being asked.
type refusal struct {
	method string
	status int
	body   string
}

// message is one of the protocol: an answer has the number of the call, an event a method.
type message struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    any             `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     json.RawMessage `json:"error,omitempty"`
}

// patience is how long the browser may take for anything; a browser that hangs fails the test.
const patience = 2 * time.Minute

// start runs a browser with an empty profile until the test ends. It finds no host but this machine. A request to another origin than the given ones fails the test, of
// whatever page and whenever it was. flags are further ones of its command line.
func start(t *testing.T, origins []string, flags ...string) *chromium {
	t.Helper()
	theirIn, ourOut, err := os.Pipe()
	require.NoError(t, err)
	ourIn, theirOut, err := os.Pipe()
	require.NoError(t, err)
	// Its own sandbox is against the pages of strangers; these are ours, and it can't be had as root in a container.
	cmd := exec.Command(cmp.Or(os.Getenv("CHROMIUM"), "chromium"), append(flags, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1", "--user-data-dir="+t.TempDir(), "--remote-debugging-pipe", "about:blank")...)
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4, as the switch says
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, cmd.Start(), "the browser is needed: apt-get install chromium")
	_, _ = theirIn.Close(), theirOut.Close()
	c := &chromium{t: t, to: ourOut, from: bufio.NewReader(ourIn), origins: origins, foreign: map[string]string{}}
	c.hung = time.AfterFunc(patience, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	t.Cleanup(func() {
		c.hung.Stop()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // with the processes that it has started
		_ = cmd.Wait()                                      // it was killed, and says so
		_, _ = ourIn.Close(), ourOut.Close()
	})
	t.Cleanup(func() {
		if !t.Failed() {
			c.call("", "Browser.getVersion", nil, nil) // what it had to tell before
			require.Empty(t, c.foreign, "requests to other origins than %v", c.origins)
		}
	})
	return c
}

// read returns the next message.
func (c *chromium) read() message {
	c.t.Helper()
	raw, err := c.from.ReadBytes(0)
	require.NoError(c.t, err, "the browser ended")
	var m message
	require.NoError(c.t, json.Unmarshal(raw[:len(raw)-1], &m))
	switch m.Method {
	case "Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown":
		c.events = append(c.events, m)
	case "Network.requestWillBeSent", "Network.webSocketCreated", "Network.loadingFailed", "Fetch.requestPaused":
		c.requested(m)
	}
	return m
}

// requested notes where a page goes. What its policy has kept from being sent is no request.
func (c *chromium) requested(m message) {
	c.t.Helper()
	var told struct {
		RequestID, URL, BlockedReason string
		Request                       struct{ URL, Method string }
	}
	raw, err := json.Marshal(m.Params)
	require.NoError(c.t, err)
	require.NoError(c.t, json.Unmarshal(raw, &told))
	switch at := cmp.Or(told.Request.URL, told.URL); {
	case m.Method == "Fetch.requestPaused":
		c.answer(m.SessionID, told.RequestID, told.Request.Method)
	case told.BlockedReason == "csp":
		delete(c.foreign, told.RequestID)
	case m.Method != "Network.loadingFailed" && !c.expects(at):
		c.foreign[told.RequestID] = at
	}
}

// expects tells whether an address is of an origin that is expected, or of none: the browser shows PDF by a page of its own (chrome-extension).
func (c *chromium) expects(address string) bool {
	at, err := url.Parse(address)
	require.NoError(c.t, err)
	return slices.Contains([]string{"data", "blob", "about", "chrome-extension"}, at.Scheme) || slices.Contains(c.origins, at.Scheme+"://"+at.Host)
}

// also expects another origin, and returns it.
func (c *chromium) also(origin string) string {
	c.origins = append(c.origins, origin)
	return origin
}

// refuses has the requests of a method answered with a refusal that no service gave, until it is called with nil.
func (c *chromium) refuses(session string, r *refusal) {
	c.t.Helper()
	c.refusal = r
	if r == nil {
		c.call(session, "Fetch.disable", nil, nil)
		return
	}
	c.call(session, "Fetch.enable", nil, nil)
}

// answer says what becomes of a request that waits for it.
func (c *chromium) answer(session, request, method string) {
	c.t.Helper()
	if c.refusal == nil || method != c.refusal.method {
		c.send(session, "Fetch.continueRequest", map[string]any{"requestId": request})
		return
	}
	c.send(session, "Fetch.fulfillRequest", map[string]any{
		"requestId": request, "responseCode": c.refusal.status, "body": base64.StdEncoding.EncodeToString([]byte(c.refusal.body)),
		"responseHeaders": []map[string]string{{"name": "Content-Type", "value": "application/problem+json"}},
	})
}

// call returns the result of a method, in a session or in none.
func (c *chromium) call(session, method string, params any, into any) {
	c.t.Helper()
	m := c.exchange(session, method, params)
	require.Empty(c.t, string(m.Error), method)
	if into != nil {
		require.NoError(c.t, json.Unmarshal(m.Result, into), method)
	}
}

// exchange calls a method and returns what the browser answers, which may be an error.
func (c *chromium) exchange(session, method string, params any) message {
	c.t.Helper()
	number := c.send(session, method, params)
	for {
		if m := c.read(); m.ID == number {
			return m
		}
	}
}

// send calls a method, whose answer has the number, and does not wait for it.
func (c *chromium) send(session, method string, params any) (number int) {
	c.t.Helper()
	c.hung.Reset(patience)
	c.number++
	raw, err := json.Marshal(message{ID: c.number, SessionID: session, Method: method, Params: params})
	require.NoError(c.t, err)
	_, err = c.to.Write(append(raw, 0))
	require.NoError(c.t, err)
	return c.number
}

// open loads an address in a tab of its own, and waits until it is loaded or its loading has ended otherwise: by a download.
func (c *chromium) open(url string) (session string) {
	c.t.Helper()
	var target struct{ TargetID, SessionID string }
	c.call("", "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	c.call("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &target)
	c.call(target.SessionID, "Page.enable", nil, nil)
	c.call(target.SessionID, "Network.enable", nil, nil)
	c.goTo(target.SessionID, url)
	return target.SessionID
}

// goTo loads an address in a tab, and waits as open does.
func (c *chromium) goTo(session, url string) {
	c.t.Helper()
	c.call(session, "Page.navigate", map[string]any{"url": url}, nil)
	c.loaded(session)
}

// loaded waits until what tabs load is loaded, or its loading has ended otherwise.
func (c *chromium) loaded(sessions ...string) {
	c.t.Helper()
	for len(sessions) > 0 {
		m := c.read()
		if m.Method == "Page.loadEventFired" || m.Method == "Page.downloadWillBegin" || m.Method == "Page.frameStoppedLoading" {
			sessions = slices.DeleteFunc(sessions, func(one string) bool { return one == m.SessionID })
		}
	}
}

// evaluate returns the value of an expression in a tab.
func (c *chromium) evaluate(session, expression string) any {
	c.t.Helper()
	var out struct {
		Result           struct{ Value any }
		ExceptionDetails json.RawMessage
	}
	c.call(session, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &out)
	require.Empty(c.t, string(out.ExceptionDetails), expression)
	return out.Result.Value
}
