# One image for every service of the family; the compose file picks the command.
#
# There is no "# syntax=" line and no "RUN --mount", so that the image also builds where no registry answers and with the
# classic builder.

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION
RUN CGO_ENABLED=0 go build -tags server -trimpath -buildvcs=false -ldflags="-s -w ${VERSION:+-X main.version=${VERSION}}" -o /out/fountain ./cmd/fountain
# A volume takes its owner and mode from the directory that the image has in its place, when it is first mounted.
RUN for dir in data root-key enrol enrol/gateway enrol/twofactor enrol/search enrol/sequence; do install -d -m 0700 "/out/root/$dir"; done

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=65532:65532 /out/root/ /
COPY --from=build /out/fountain /fountain
USER 65532:65532
EXPOSE 8000 8001 8002 8003 8004
# Asks the service that runs in this container, whichever it is, whether it is ready.
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=6 CMD ["/fountain", "healthcheck"]
ENTRYPOINT ["/fountain"]
CMD ["help"]
