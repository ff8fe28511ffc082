# One image for every service of the family; the compose file picks the command.
#
# There is no "# syntax=" line and no "RUN --mount", so that the image also builds where no registry answers and with the
# classic builder.
#
# Two builds of the same files by the same image of Go give the same layers, on whatever day: the compiler's paths and every
# file's time are fixed (docs/operations.md, "The image").

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION
RUN CGO_ENABLED=0 go build -tags server -trimpath -buildvcs=false -ldflags="-s -w ${VERSION:+-X main.version=${VERSION}}" -o /out/root/fountain ./cmd/fountain
RUN install -D -m 0644 /etc/ssl/certs/ca-certificates.crt /out/root/etc/ssl/certs/ca-certificates.crt
# A volume takes its owner and mode from the directory that the image has in its place, when it is first mounted.
RUN for dir in data root-key backups drill enrol enrol/gateway enrol/twofactor enrol/search enrol/sequence; do install -d -m 0700 "/out/home/$dir"; done
ARG SOURCE_DATE_EPOCH
RUN find /out -exec touch -h -d "@${SOURCE_DATE_EPOCH:-0}" {} +

FROM scratch
COPY --from=build /out/root/ /
COPY --from=build --chown=65532:65532 /out/home/ /
USER 65532:65532
EXPOSE 8000 8001 8002 8003 8004
# Asks the service that runs in this container, whichever it is, whether it is ready.
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=6 CMD ["/fountain", "healthcheck"]
ENTRYPOINT ["/fountain"]
CMD ["help"]
