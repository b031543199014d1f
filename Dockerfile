# syntax=docker/dockerfile:1
# The images of both planes, which differ in what they run by default:
#   docker build --target gateway .
#   docker build --target management .
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS TARGETARCH VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOWORK=off GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$VERSION" -o /out/perigee ./cmd/perigee

# A static program, CA certificates, time zones, and nothing else to run: no shell,
# no package manager. The Go build information in the program (go version -m) is what
# SBOM tools read; -s -w leave it in.
FROM gcr.io/distroless/static-debian12:nonroot AS base
COPY --from=build /out/perigee /perigee
# By number, so that a runtime that checks for root can tell (runAsNonRoot).
USER 65532:65532
ENV PORT=8080
EXPOSE 8080
# perigee takes this for: stop accepting, finish what is in flight, end with 0.
STOPSIGNAL SIGTERM
ARG VERSION=dev
LABEL org.opencontainers.image.title="perigee" \
      org.opencontainers.image.description="Apigee API proxies as serverless functions" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/perigee-gateway/perigee" \
      org.opencontainers.image.version="$VERSION"
ENTRYPOINT ["/perigee"]

FROM base AS management
CMD ["management"]

# The last stage is what "docker build ." makes.
FROM base AS gateway
CMD ["gateway"]
