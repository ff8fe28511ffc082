package fountain

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/gateway"
)

// Gateway calls the gateway's own operations.
type Gateway struct{ client *Client }

// ListGatewayServices lists the services behind the gateway and their health.
func (g *Gateway) ListGatewayServices(ctx context.Context, opts ...CallOption) (*gateway.ServiceStatusList, error) {
	return send[gateway.ServiceStatusList](ctx, g.client, opListGatewayServices, opts, gateway.NewListGatewayServicesRequest)
}

// GetAuthorizationServer returns the authorization server's metadata (RFC 8414).
func (g *Gateway) GetAuthorizationServer(ctx context.Context, opts ...CallOption) (json.RawMessage, error) {
	out, err := send[json.RawMessage](ctx, g.client, opGetAuthorizationServer, opts, gateway.NewGetAuthorizationServerRequest)
	return value(out), err
}

// GetOpenIDProvider returns the OpenID provider's metadata (OpenID Connect Discovery 1.0).
func (g *Gateway) GetOpenIDProvider(ctx context.Context, opts ...CallOption) (json.RawMessage, error) {
	out, err := send[json.RawMessage](ctx, g.client, opGetOpenIDProvider, opts, gateway.NewGetOpenIDProviderRequest)
	return value(out), err
}

// GetContract returns a contract as the gateway enforces it, for example "kms.yaml".
func (g *Gateway) GetContract(ctx context.Context, document string, opts ...CallOption) ([]byte, error) {
	return fetch(ctx, g.client, opGetContract, opts, func(server string) (*http.Request, error) {
		return gateway.NewGetContractRequest(server, document, nil)
	}, "application/yaml")
}

// GetStartPage returns the page at the gateway's root.
func (g *Gateway) GetStartPage(ctx context.Context, opts ...CallOption) ([]byte, error) {
	return fetch(ctx, g.client, opGetStartPage, opts, func(server string) (*http.Request, error) {
		return gateway.NewGetStartPageRequest(server, nil)
	}, "text/html")
}

// GetDocs returns the documentation page.
func (g *Gateway) GetDocs(ctx context.Context, opts ...CallOption) ([]byte, error) {
	return fetch(ctx, g.client, opGetDocs, opts, func(server string) (*http.Request, error) {
		return gateway.NewGetDocsRequest(server, nil)
	}, "text/html")
}

// GetDocsAsset returns a file of the documentation page.
func (g *Gateway) GetDocsAsset(ctx context.Context, asset string, opts ...CallOption) ([]byte, error) {
	return fetch(ctx, g.client, opGetDocsAsset, opts, func(server string) (*http.Request, error) {
		return gateway.NewGetDocsAssetRequest(server, asset, nil)
	}, "text/css", "text/javascript", "image/png", "text/plain")
}

// ListProblemPages lists the problem codes and what each means.
func (g *Gateway) ListProblemPages(ctx context.Context, opts ...CallOption) (*gateway.ProblemPageList, error) {
	return send[gateway.ProblemPageList](ctx, g.client, opListProblemPages, opts, func(server string) (*http.Request, error) {
		return gateway.NewListProblemPagesRequest(server, nil)
	})
}

// GetFavicon returns the gateway's favicon.
func (g *Gateway) GetFavicon(ctx context.Context, opts ...CallOption) ([]byte, error) {
	return fetch(ctx, g.client, opGetFavicon, opts, func(server string) (*http.Request, error) {
		return gateway.NewGetFaviconRequest(server, nil)
	}, "image/x-icon")
}

// GetProblemPage explains a problem code and what to do about it.
func (g *Gateway) GetProblemPage(ctx context.Context, code Code, opts ...CallOption) (*gateway.ProblemPage, error) {
	return send[gateway.ProblemPage](ctx, g.client, opGetProblemPage, opts, func(server string) (*http.Request, error) {
		return gateway.NewGetProblemPageRequest(server, string(code), nil)
	})
}

// GetConsole returns the console's page.
func (g *Gateway) GetConsole(ctx context.Context, opts ...CallOption) ([]byte, error) {
	return fetch(ctx, g.client, opGetConsole, opts, func(server string) (*http.Request, error) {
		return gateway.NewGetConsoleRequest(server, nil)
	}, "text/html")
}

// GetConsoleAsset returns a file of the console.
func (g *Gateway) GetConsoleAsset(ctx context.Context, asset string, opts ...CallOption) ([]byte, error) {
	return fetch(ctx, g.client, opGetConsoleAsset, opts, func(server string) (*http.Request, error) {
		return gateway.NewGetConsoleAssetRequest(server, asset, nil)
	}, "text/css", "text/javascript", "image/svg+xml", "text/plain")
}

// GetGatewayHealth reports that the gateway process is alive.
func (g *Gateway) GetGatewayHealth(ctx context.Context, opts ...CallOption) (*common.Health, error) {
	return send[common.Health](ctx, g.client, opGetGatewayHealth, opts, gateway.NewGetGatewayHealthRequest)
}

// GetGatewayReadiness reports whether the gateway can serve requests. Error: ErrUnavailable if it cannot.
func (g *Gateway) GetGatewayReadiness(ctx context.Context, opts ...CallOption) (*common.Readiness, error) {
	return send[common.Readiness](ctx, g.client, opGetGatewayReadiness, opts, gateway.NewGetGatewayReadinessRequest)
}
