package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"html/template"
	"log"
	"net/http"
	"net/url"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// settings says where the app is, and how it identifies itself at FountainAI.
type settings struct{ Issuer, ClientID, Secret, Address string }

// app signs users in.
type app struct {
	oauth    oauth2.Config
	provider *oidc.Provider
	verifier *oidc.IDTokenVerifier
	endPage  string // where users sign out of FountainAI
	address  string
	sessions *sessions
}

// newApp discovers FountainAI's endpoints from its issuer alone.
func newApp(ctx context.Context, s settings) (*app, error) {
	provider, err := oidc.NewProvider(ctx, s.Issuer)
	if err != nil {
		return nil, fmt.Errorf("find the family: %w", err)
	}
	var more struct {
		EndSession string `json:"end_session_endpoint"`
	}
	if err := provider.Claims(&more); err != nil {
		return nil, fmt.Errorf("read the family's metadata: %w", err)
	}
	endpoint := provider.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	return &app{
		oauth: oauth2.Config{
			ClientID: s.ClientID, ClientSecret: s.Secret, Endpoint: endpoint, RedirectURL: s.Address + "/callback", Scopes: []string{oidc.ScopeOpenID, "profile"},
		},
		provider: provider, verifier: provider.Verifier(&oidc.Config{ClientID: s.ClientID}), endPage: more.EndSession, address: s.Address, sessions: newSessions(),
	}, nil
}

func (a *app) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.home)
	mux.HandleFunc("GET /login", a.login)
	mux.HandleFunc("GET /callback", a.callback)
	mux.HandleFunc("POST /logout", a.logout)
	return mux
}

var page = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><title>A web app</title><link rel="icon" href="data:,">
{{if .Name}}<h1>Hello, {{.Name}}</h1><p>You are {{.Subject}}, signed in by {{.Level}}.</p><form method="post" action="/logout"><button>Sign out</button></form>
{{else}}<h1>A web app</h1><p>{{.Notice}}</p><p><a href="/login">Sign in</a></p>{{end}}</html>
`))

// person is the user who has signed in.
type person struct{ Name, Subject, Level, IDToken, Notice string }

func (a *app) home(w http.ResponseWriter, r *http.Request) {
	a.show(w, http.StatusOK, a.sessions.person(r))
}

func (a *app) show(w http.ResponseWriter, status int, p person) {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", "default-src 'none'; img-src data:; frame-ancestors 'none'; base-uri 'none'")
	w.WriteHeader(status)
	if err := page.Execute(w, p); err != nil {
		log.Print(err)
	}
}

// login redirects the browser to FountainAI. What the callback must match is stored in the app, in a session named by
// the browser's cookie. The state keeps out responses that others started, the nonce keeps out ID tokens of others, and
// the verifier makes the code useless to anyone who sees it in transit.
func (a *app) login(w http.ResponseWriter, r *http.Request) {
	p := pending{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier()}
	a.sessions.begin(w, p)
	http.Redirect(w, r, a.oauth.AuthCodeURL(p.State, oidc.Nonce(p.Nonce), oauth2.S256ChallengeOption(p.Verifier)), http.StatusSeeOther)
}

// callback handles FountainAI's response.
func (a *app) callback(w http.ResponseWriter, r *http.Request) {
	pending, ok := a.sessions.take(r) // works once, whatever the result
	if !ok {
		a.show(w, http.StatusBadRequest, person{Notice: "This sign-in did not begin here, or was used already."})
		return
	}
	who, err := a.signedIn(r.Context(), r.URL.Query(), pending)
	if err != nil {
		log.Print(err)
		a.show(w, http.StatusBadRequest, person{Notice: "The sign-in did not work."})
		return
	}
	a.sessions.enter(w, who)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// signedIn exchanges the code and checks the tokens.
func (a *app) signedIn(ctx context.Context, answer url.Values, p pending) (person, error) {
	switch {
	case answer.Get("state") != p.State:
		return person{}, errors.New("the answer has another state")
	case answer.Get("iss") != a.issuer(): // RFC 9207
		return person{}, errors.New("the answer is another issuer's")
	case answer.Has("error"):
		return person{}, fmt.Errorf("the family refuses: %q", answer.Get("error"))
	}
	tokens, err := a.oauth.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(p.Verifier))
	if err != nil {
		return person{}, fmt.Errorf("trade the code: %w", err)
	}
	raw, _ := tokens.Extra("id_token").(string)
	token, err := a.verifier.Verify(ctx, raw)
	if err != nil {
		return person{}, fmt.Errorf("verify the ID token: %w", err)
	}
	if token.Nonce != p.Nonce {
		return person{}, errors.New("the ID token has another nonce")
	}
	info, err := a.provider.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	if err != nil {
		return person{}, fmt.Errorf("ask who it is: %w", err)
	}
	var told struct {
		Name  string `json:"preferred_username"`
		Level string `json:"acr"`
	}
	if err := errors.Join(info.Claims(&told), token.Claims(&told)); err != nil {
		return person{}, fmt.Errorf("read the claims: %w", err)
	}
	if info.Subject != token.Subject {
		return person{}, errors.New("userinfo is about another person")
	}
	return person{Name: told.Name, Subject: token.Subject, Level: told.Level, IDToken: raw}, nil
}

func (a *app) issuer() string {
	var metadata struct{ Issuer string }
	if err := a.provider.Claims(&metadata); err != nil {
		return ""
	}
	return metadata.Issuer
}

// logout ends the app's session, and then the user's session at FountainAI.
func (a *app) logout(w http.ResponseWriter, r *http.Request) {
	who := a.sessions.person(r)
	a.sessions.end(w, r)
	if who.IDToken == "" {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	query := url.Values{"id_token_hint": {who.IDToken}, "post_logout_redirect_uri": {a.address + "/"}}
	http.Redirect(w, r, a.endPage+"?"+query.Encode(), http.StatusSeeOther)
}
