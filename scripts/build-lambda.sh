#!/usr/bin/env bash
# Builds the Lambda zips, the same bytes every time:
#   scripts/build-lambda.sh [DIR]      # default dist: perigee-lambda-{arm64,amd64}.zip
# Runtime: provided.al2023; the handler's name does not matter.
set -euo pipefail
cd "$(dirname "$0")/.."
out="${1:-dist}"
mkdir -p "$out"
out="$(cd "$out" && pwd)"
for arch in arm64 amd64; do
  dir="$(mktemp -d)"
  CGO_ENABLED=0 GOWORK=off GOOS=linux GOARCH="$arch" \
    go build -trimpath -buildvcs=false -tags lambda.norpc -ldflags "-s -w -buildid=" -o "$dir/bootstrap" ./functions/lambda
  chmod 755 "$dir/bootstrap"
  touch -d '1980-01-01T00:00:00Z' "$dir/bootstrap" # zip keeps times; this is the earliest it can
  rm -f "$out/perigee-lambda-$arch.zip"
  (cd "$dir" && TZ=UTC zip -X -q "$out/perigee-lambda-$arch.zip" bootstrap)
  rm -rf "$dir"
  sha256sum "$out/perigee-lambda-$arch.zip"
done
