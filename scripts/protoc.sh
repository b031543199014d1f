#!/usr/bin/env bash
# Writes the Go code of every .proto file beside it. Needs protoc (Debian:
# protobuf-compiler); the plug-in is of the version that go.mod names.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v protoc >/dev/null || { echo "protoc is not installed: apt-get install protobuf-compiler" >&2; exit 1; }
bin="$(mktemp -d)"
trap 'rm -rf "$bin"' EXIT
go build -o "$bin/protoc-gen-go" google.golang.org/protobuf/cmd/protoc-gen-go
git ls-files -co --exclude-standard '*.proto' | while read -r file; do
  protoc --plugin="$bin/protoc-gen-go" --proto_path="$(dirname "$file")" \
    --go_out="$(dirname "$file")" --go_opt=paths=source_relative "$(basename "$file")"
done
