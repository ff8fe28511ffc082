package services

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/fountainai/fountain/console"
	"github.com/fountainai/fountain/generated/commonapi"
	"github.com/fountainai/fountain/generated/gatewayapi"
	"github.com/fountainai/fountain/impl/gateway/internal/docsui"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/openapi"
)

// Members reports on the adopted services.
type Members interface {
	// Standing returns which version of an adopted service's contract is in force.
	Standing(name string) Standing
	// Unserved returns the names of adopted services of which no version is in force, because every one was refused.
	Unserved() []string
}

// Handlers implements the gateway's own operations.
type Handlers struct {
	Watcher *Watcher
	Version string
	Ready   func() error // why the gateway is not ready, in public words
	Client  *http.Client // the host of its URLs is a service's word
	Texts   *Texts
	Members Members
}

var _ gatewayapi.StrictServerInterface = (*Handlers)(nil)

// GetGatewayHealth reports that the process is alive.
func (h *Handlers) GetGatewayHealth(context.Context, gatewayapi.GetGatewayHealthRequestObject) (gatewayapi.GetGatewayHealthResponseObject, error) {
	return gatewayapi.GetGatewayHealth200JSONResponse{Status: commonapi.HealthStatusOk, Service: "gateway", Version: h.Version}, nil
}

// GetGatewayReadiness reports whether the gateway can serve requests.
func (h *Handlers) GetGatewayReadiness(context.Context, gatewayapi.GetGatewayReadinessRequestObject) (gatewayapi.GetGatewayReadinessResponseObject, error) {
	if err := h.Ready(); err != nil {
		return nil, problem.New(problem.NotReady, "The gateway is not ready: "+err.Error()+".").WithRetryAfter(time.Second)
	}
	return gatewayapi.GetGatewayReadiness200JSONResponse{Status: commonapi.ReadinessStatusReady, Service: "gateway", ContractDigest: new(openapi.Digest("gateway"))}, nil
}

// ListGatewayServices lists the services and their health.
func (h *Handlers) ListGatewayServices(context.Context, gatewayapi.ListGatewayServicesRequestObject) (gatewayapi.ListGatewayServicesResponseObject, error) {
	list := gatewayapi.ServiceStatusList{Items: []gatewayapi.ServiceStatus{}}
	for _, s := range h.Watcher.List() {
		one := gatewayapi.ServiceStatus{
			Adopted: s.Adopted, Name: s.Word, BasePath: s.BasePath, Status: gatewayapi.ServiceStatusStatus(s.State), Targets: int32(s.Targets), TargetsReady: int32(s.Ready), TargetsSkewed: int32(s.Skewed),
			Contract: "/openapi/" + s.Word + ".yaml", ContractVersion: s.ContractVersion, ContractDigest: s.Digest,
		}
		if s.Adopted {
			h.addStanding(&one)
		}
		list.Items = append(list.Items, one)
	}
	if names := h.Members.Unserved(); len(names) > 0 {
		refused := make([]gatewayapi.RefusedService, 0, len(names))
		for _, name := range names[:min(len(names), maxRefused)] {
			refused = append(refused, gatewayapi.RefusedService{Name: name, Refused: *refusal(h.Members.Standing(name))})
		}
		list.Refused = &refused
	}
	return gatewayapi.ListGatewayServices200JSONResponse(list), nil
}

// addStanding adds which version of an adopted contract is in force, and why the last one was refused.
func (h *Handlers) addStanding(one *gatewayapi.ServiceStatus) {
	standing := h.Members.Standing(one.Name)
	if standing.Revision > 0 {
		one.Revision = &standing.Revision
	}
	if standing.Cause != "" {
		one.Refused = refusal(standing)
	}
}

// maxRefused is the most refused services that are listed, as the contract says.
const maxRefused = 256

// refusal returns why the last version of a contract was refused.
func refusal(s Standing) *gatewayapi.ServiceRefusal {
	r := &gatewayapi.ServiceRefusal{Cause: gatewayapi.ServiceRefusalCause(s.Cause)}
	if s.Refused > 0 {
		r.Revision = &s.Refused
	}
	return r
}

// maxMetadata is the largest metadata of the kms that is read, in bytes.
const maxMetadata = 64 << 10

// GetAuthorizationServer returns the kms's document.
func (h *Handlers) GetAuthorizationServer(ctx context.Context, _ gatewayapi.GetAuthorizationServerRequestObject) (gatewayapi.GetAuthorizationServerResponseObject, error) {
	return h.metadata(ctx, "http://kms/kms/v1/.well-known/oauth-authorization-server")
}

// GetOpenIDProvider returns the kms's document.
func (h *Handlers) GetOpenIDProvider(ctx context.Context, _ gatewayapi.GetOpenIDProviderRequestObject) (gatewayapi.GetOpenIDProviderResponseObject, error) {
	return h.metadata(ctx, "http://kms/kms/v1/.well-known/openid-configuration")
}

// metadata reads a metadata document of the kms.
func (h *Handlers) metadata(ctx context.Context, address string) (metadata, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("ask the kms for its metadata: %w", err)
	}
	res, err := h.Client.Do(req)
	if err != nil {
		return nil, problem.New(problem.UpstreamUnavailable, "The kms cannot be reached.").WithRetryAfter(time.Second).Wrap(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxMetadata))
	if err == nil && (res.StatusCode != http.StatusOK || !json.Valid(raw)) {
		err = errors.New("the kms's metadata is not a JSON document")
	}
	if err != nil {
		return nil, problem.New(problem.BadUpstream, "The kms did not return its metadata.").Wrap(err)
	}
	return metadata(raw), nil
}

// metadata is a JSON document that is returned unchanged. The generated response type lacks the methods of json.RawMessage and
// would encode the bytes as a base64 string.
type metadata []byte

// VisitGetAuthorizationServerResponse writes the document.
func (m metadata) VisitGetAuthorizationServerResponse(w http.ResponseWriter) error { return m.write(w) }

// VisitGetOpenIDProviderResponse writes the document.
func (m metadata) VisitGetOpenIDProviderResponse(w http.ResponseWriter) error { return m.write(w) }

func (m metadata) write(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(m)
	return err
}

// GetContract returns a contract's text. The ETag is a hash of it, so every replica of one release returns the same.
func (h *Handlers) GetContract(_ context.Context, request gatewayapi.GetContractRequestObject) (gatewayapi.GetContractResponseObject, error) {
	text, err := h.Texts.Text(request.Document)
	if err != nil {
		return nil, problem.New(problem.NotFound, "There is no such contract.").Wrap(err)
	}
	sum := sha256.Sum256(text)
	return gatewayapi.GetContract200ApplicationYamlResponse{
		Body: bytes.NewReader(text), ContentLength: int64(len(text)),
		Headers: gatewayapi.GetContract200ResponseHeaders{CacheControl: revalidated, ETag: `"` + base64.RawURLEncoding.EncodeToString(sum[:18]) + `"`},
	}, nil
}

// revalidated makes browsers check before each use that their copy is current, so that a page, its scripts and contracts are of one version.
const revalidated = "no-cache"

// GetStartPage serves the page at the root.
func (h *Handlers) GetStartPage(context.Context, gatewayapi.GetStartPageRequestObject) (gatewayapi.GetStartPageResponseObject, error) {
	page := docsui.StartPage()
	return gatewayapi.GetStartPage200TextHTMLResponse{
		Body: bytes.NewReader(page.Content), ContentLength: int64(len(page.Content)),
		Headers: gatewayapi.GetStartPage200ResponseHeaders{
			CacheControl: revalidated, ContentSecurityPolicy: docsui.CSP, CrossOriginOpenerPolicy: "same-origin", ETag: page.ETag, ReferrerPolicy: "no-referrer",
		},
	}, nil
}

// GetFavicon serves the icon.
func (h *Handlers) GetFavicon(context.Context, gatewayapi.GetFaviconRequestObject) (gatewayapi.GetFaviconResponseObject, error) {
	icon := docsui.Favicon()
	return gatewayapi.GetFavicon200ImageXIconResponse{
		Body: bytes.NewReader(icon.Content), ContentLength: int64(len(icon.Content)),
		Headers: gatewayapi.GetFavicon200ResponseHeaders{CacheControl: revalidated, ETag: icon.ETag},
	}, nil
}

// GetDocs serves the documentation page. Its script selects the contract from the URL.
func (h *Handlers) GetDocs(context.Context, gatewayapi.GetDocsRequestObject) (gatewayapi.GetDocsResponseObject, error) {
	page := docsui.DocsPage()
	return gatewayapi.GetDocs200TextHTMLResponse{
		Body: bytes.NewReader(page.Content), ContentLength: int64(len(page.Content)),
		Headers: gatewayapi.GetDocs200ResponseHeaders{
			CacheControl: revalidated, ContentSecurityPolicy: docsui.CSP, CrossOriginOpenerPolicy: "same-origin", ETag: page.ETag, ReferrerPolicy: "no-referrer",
		},
	}, nil
}

// RedirectToDocs redirects from /docs/ to the page.
func (h *Handlers) RedirectToDocs(context.Context, gatewayapi.RedirectToDocsRequestObject) (gatewayapi.RedirectToDocsResponseObject, error) {
	return gatewayapi.RedirectToDocs308Response{Headers: gatewayapi.RedirectToDocs308ResponseHeaders{Location: "/docs"}}, nil
}

// GetConsole serves the console. Its script selects the view from the URL.
func (h *Handlers) GetConsole(context.Context, gatewayapi.GetConsoleRequestObject) (gatewayapi.GetConsoleResponseObject, error) {
	page := console.Page()
	return gatewayapi.GetConsole200TextHTMLResponse{
		Body: bytes.NewReader(page.Content), ContentLength: int64(len(page.Content)),
		Headers: gatewayapi.GetConsole200ResponseHeaders{
			CacheControl: revalidated, ContentSecurityPolicy: console.CSP, CrossOriginOpenerPolicy: "same-origin", ETag: page.ETag, ReferrerPolicy: "no-referrer",
		},
	}, nil
}

// GetConsoleAsset serves a file of the console.
func (h *Handlers) GetConsoleAsset(_ context.Context, request gatewayapi.GetConsoleAssetRequestObject) (gatewayapi.GetConsoleAssetResponseObject, error) {
	file, ok := console.PageAsset(request.Asset)
	if !ok {
		return nil, problem.New(problem.NotFound, "There is no such file.")
	}
	body, size := bytes.NewReader(file.Content), int64(len(file.Content))
	headers := gatewayapi.GetConsoleAsset200ResponseHeaders{CacheControl: revalidated, ETag: file.ETag}
	switch file.MediaType {
	case "text/css":
		return gatewayapi.GetConsoleAsset200TextCSSResponse{Body: body, ContentLength: size, Headers: headers}, nil
	case "text/javascript":
		return gatewayapi.GetConsoleAsset200TextJavascriptResponse{Body: body, ContentLength: size, Headers: headers}, nil
	case "image/svg+xml":
		return gatewayapi.GetConsoleAsset200ImageSvgXMLResponse{Body: body, ContentLength: size, Headers: headers}, nil
	}
	return gatewayapi.GetConsoleAsset200TextResponse{Body: string(file.Content), Headers: headers}, nil
}

// GetDocsAsset serves a file of the pages.
func (h *Handlers) GetDocsAsset(_ context.Context, request gatewayapi.GetDocsAssetRequestObject) (gatewayapi.GetDocsAssetResponseObject, error) {
	file, ok := docsui.Asset(request.Asset)
	if !ok {
		return nil, problem.New(problem.NotFound, "There is no such file.")
	}
	body, size := bytes.NewReader(file.Content), int64(len(file.Content))
	headers := gatewayapi.GetDocsAsset200ResponseHeaders{CacheControl: revalidated, ETag: file.ETag}
	switch file.MediaType {
	case "text/css":
		return gatewayapi.GetDocsAsset200TextCSSResponse{Body: body, ContentLength: size, Headers: headers}, nil
	case "text/javascript":
		return gatewayapi.GetDocsAsset200TextJavascriptResponse{Body: body, ContentLength: size, Headers: headers}, nil
	case "image/png":
		return gatewayapi.GetDocsAsset200ImagePngResponse{Body: body, ContentLength: size, Headers: headers}, nil
	}
	return gatewayapi.GetDocsAsset200TextResponse{Body: string(file.Content), Headers: headers}, nil
}
