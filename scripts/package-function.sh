#!/usr/bin/env bash
# Packs what .gcloudignore lets through, for infra/gcp with runtime "function":
#   scripts/package-function.sh [FILE]      # default dist/perigee-function.zip
set -euo pipefail
out="${1:-$(dirname "$0")/../dist/perigee-function.zip}"
mkdir -p "$(dirname "$out")"
out="$(cd "$(dirname "$out")" && pwd)/$(basename "$out")"
cd "$(dirname "$0")/.."
rm -f "$out"
git ls-files -co --exclude-standard | sort >"$out.all"
{ git ls-files -ci --exclude-from=.gcloudignore; git ls-files -oi --exclude-from=.gcloudignore; } | sort -u >"$out.ignored"
comm -23 "$out.all" "$out.ignored" | zip -X -q "$out" -@
rm -f "$out.all" "$out.ignored"
echo "$out"
