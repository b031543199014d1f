#!/usr/bin/env bash
# What must pass before images are built: the tests, and that the code is formatted
# and vetted. .ci/run does more, and needs the emulators.
set -euo pipefail
cd "$(dirname "$0")/.."
export GOFLAGS="${GOFLAGS:--buildvcs=false}"
# Tests ask git which files there are; what Cloud Build is sent has no repository.
git rev-parse --git-dir >/dev/null 2>&1 || { git init -q . && git add -A; }
unformatted="$(find . -name '*.go' -not -path './.git/*' -print0 | xargs -0 gofmt -l)"
[ -z "$unformatted" ] || { echo "not formatted: $unformatted" >&2; exit 1; }
go vet ./...
go test ./...
