# syntax=docker/dockerfile:1
# One image for both planes: run it as "gateway" (default) or "management".
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS TARGETARCH VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOWORK=off GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$VERSION" -o /out/perigee ./cmd/perigee

# CA certificates and nothing to run but the program; the Go build information in
# the binary is what SBOM tools read.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/perigee /perigee
USER nonroot
ENV PORT=8080
EXPOSE 8080
ENTRYPOINT ["/perigee"]
CMD ["gateway"]
