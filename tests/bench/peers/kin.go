package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/golang-jwt/jwt/v5"
	nethttpmiddleware "github.com/oapi-codegen/nethttp-middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"golang.org/x/time/rate"
)

// serveKin is a peer: what a Go team would put together today. Routes by chi, requests checked by oapi-codegen's middleware (kin-openapi)
// against the same contract, tokens by golang-jwt with a key set that is held, a limit for each subject by x/time/rate, metrics, and an access
// log. Answers are not checked, and who may do what is decided by scopes alone.
func serveKin() error {
	loader := openapi3.NewLoader()
	loader.IsExternalRefsAllowed = true // common.yaml
	spec, err := loader.LoadFromFile(filepath.Join(*repository, "openapi", "sequence.yaml"))
	if err != nil {
		return err
	}
	key, err := fetchKey(*keySet)
	if err != nil {
		return err
	}
	proxy, err := reverseProxy(*behind)
	if err != nil {
		return err
	}
	guard := &guard{key: key, limits: map[string]*rate.Limiter{}}
	router := chi.NewRouter()
	router.Use(middleware.RequestID, observe(), nethttpmiddleware.OapiRequestValidatorWithOptions(spec, &nethttpmiddleware.Options{
		SilenceServersWarning: true,
		Options:               openapi3filter.Options{AuthenticationFunc: guard.authenticate},
	}))
	router.Handle("/sequence/v1/*", proxy)
	go serveMetrics()
	return (&http.Server{Addr: *listenAt, Handler: router, ReadHeaderTimeout: 5 * time.Second}).ListenAndServe()
}

// observe counts, measures and logs.
func observe() func(http.Handler) http.Handler {
	requests := promauto.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total", Help: "Requests."}, []string{"method", "status"})
	duration := promauto.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_duration_seconds", Help: "Duration."}, []string{"method"})
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			began, answer := time.Now(), middleware.NewWrapResponseWriter(w, r.ProtoMajor)
			next.ServeHTTP(answer, r)
			took := time.Since(began)
			requests.WithLabelValues(r.Method, strconv.Itoa(answer.Status())).Inc()
			duration.WithLabelValues(r.Method).Observe(took.Seconds())
			log.LogAttrs(r.Context(), slog.LevelInfo, "request", slog.String("requestId", middleware.GetReqID(r.Context())), slog.String("method", r.Method),
				slog.String("path", r.URL.Path), slog.Int("status", answer.Status()), slog.String("client", r.RemoteAddr), slog.Int("bytes", answer.BytesWritten()), slog.Duration("took", took))
		})
	}
}

// guard verifies tokens and limits their subjects.
type guard struct {
	key ed25519.PublicKey

	mu     sync.Mutex
	limits map[string]*rate.Limiter
}

type claims struct {
	jwt.RegisteredClaims
	Scope string `json:"scope"`
}

func (g *guard) authenticate(_ context.Context, in *openapi3filter.AuthenticationInput) error {
	text, found := strings.CutPrefix(in.RequestValidationInput.Request.Header.Get("Authorization"), "Bearer ")
	if !found {
		return errors.New("no bearer token")
	}
	var c claims
	_, err := jwt.ParseWithClaims(text, &c, func(*jwt.Token) (any, error) { return g.key, nil },
		jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithIssuer(issuer), jwt.WithAudience(audience), jwt.WithExpirationRequired())
	if err != nil {
		return err
	}
	has := strings.Fields(c.Scope)
	for _, scope := range in.Scopes {
		if !slices.Contains(has, scope) {
			return errors.New("a scope is missing")
		}
	}
	if !g.limit(c.Subject).Allow() {
		return errors.New("too many requests")
	}
	return nil
}

func (g *guard) limit(subject string) *rate.Limiter {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.limits[subject]
	if l == nil {
		l = rate.NewLimiter(1000, 10000)
		g.limits[subject] = l
	}
	return l
}

func fetchKey(url string) (ed25519.PublicKey, error) {
	answer, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var set struct{ Keys []struct{ X string } }
	if err := json.NewDecoder(answer.Body).Decode(&set); err != nil || len(set.Keys) != 1 {
		return nil, fmt.Errorf("the key set holds no single key: %w", err)
	}
	return base64.RawURLEncoding.DecodeString(set.Keys[0].X)
}
