#!/usr/bin/env bash
# Builds the Lambda zips, the same bytes every time and in every folder:
#   scripts/build-lambda.sh [DIR]      # default dist: perigee-lambda-{arm64,amd64}.zip
# ARCHITECTURES="arm64" builds one of them. Runtime: provided.al2023; the handler's
# name does not matter. CGO=1 is for tests, which then need not compile all anew.
set -euo pipefail
umask 022
[ $# -eq 0 ] || mkdir -p "$1"
out="$(cd "${1:-.}" && pwd)"
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { mkdir -p dist; out="$PWD/dist"; }
for arch in ${ARCHITECTURES:-arm64 amd64}; do
  dir="$(mktemp -d)"
  # lambda.norpc leaves the runtime of 2018 out. GOFLAGS, GOARM64 and GOAMD64 are
  # fixed: what they are set to here must not show in the zip.
  CGO_ENABLED="${CGO:-0}" GOWORK=off GOFLAGS= GOOS=linux GOARCH="$arch" GOAMD64=v1 GOARM64=v8.0 \
    go build -trimpath -buildvcs=false -tags lambda.norpc -ldflags "-s -w -buildid=" -o "$dir/bootstrap" ./functions/lambda
  GOWORK=off GOFLAGS="-trimpath -buildvcs=false" go run ./scripts/lambdazip "$out/perigee-lambda-$arch.zip" "$dir/bootstrap"
  rm -rf "$dir"
  cksum "$out/perigee-lambda-$arch.zip"
done
