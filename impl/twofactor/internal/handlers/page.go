package handlers

import (
	"bytes"
	"context"
	"fmt"

	"github.com/fountainai/fountain/console"
	"github.com/fountainai/fountain/generated/twofactorapi"
	"github.com/fountainai/fountain/internal/problem"
)

// revalidated makes browsers check each time whether their copy is current, so that a page and its modules always have one version.
const revalidated = "no-cache"

// GetEnrolmentPage implements twofactorapi.StrictServerInterface.
func (h *Handlers) GetEnrolmentPage(context.Context, twofactorapi.GetEnrolmentPageRequestObject) (twofactorapi.GetEnrolmentPageResponseObject, error) {
	page := console.EnrolmentPage()
	return twofactorapi.GetEnrolmentPage200TextHTMLResponse{
		Body: bytes.NewReader(page.Content), ContentLength: int64(len(page.Content)),
		Headers: twofactorapi.GetEnrolmentPage200ResponseHeaders{
			CacheControl: revalidated, ContentSecurityPolicy: console.CSP, CrossOriginOpenerPolicy: "same-origin", ETag: page.ETag, ReferrerPolicy: "no-referrer",
		},
	}, nil
}

// GetEnrolmentAsset implements twofactorapi.StrictServerInterface.
func (h *Handlers) GetEnrolmentAsset(_ context.Context, r twofactorapi.GetEnrolmentAssetRequestObject) (twofactorapi.GetEnrolmentAssetResponseObject, error) {
	file, ok := console.Asset(r.Asset)
	if !ok {
		return nil, problem.New(problem.NotFound, "The page has no such file.")
	}
	body, size := bytes.NewReader(file.Content), int64(len(file.Content))
	headers := twofactorapi.GetEnrolmentAsset200ResponseHeaders{CacheControl: revalidated, ETag: file.ETag}
	switch file.MediaType {
	case "text/css":
		return twofactorapi.GetEnrolmentAsset200TextCSSResponse{Body: body, ContentLength: size, Headers: headers}, nil
	case "text/javascript":
		return twofactorapi.GetEnrolmentAsset200TextJavascriptResponse{Body: body, ContentLength: size, Headers: headers}, nil
	case "image/svg+xml":
		return twofactorapi.GetEnrolmentAsset200ImageSvgXMLResponse{Body: body, ContentLength: size, Headers: headers}, nil
	}
	return nil, fmt.Errorf("a file of the page is of type %s", file.MediaType)
}
