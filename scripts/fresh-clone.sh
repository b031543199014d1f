#!/usr/bin/env bash
# Does what the README tells a newcomer, in a fresh clone: serves the example and
# calls it. The other command, go test ./..., is the first step of .ci/run.
#   scripts/fresh-clone.sh DIR
set -euo pipefail
dir="${1:?usage: fresh-clone.sh DIR}"
git clone -q "$(git rev-parse --show-toplevel)" "$dir"
cd "$dir"
export GOCACHE GOMODCACHE
GOCACHE="$(go env GOCACHE)" GOMODCACHE="$(go env GOMODCACHE)"
HOME="$dir/home" XDG_CACHE_HOME="$dir/home/cache" \
  setsid go run ./cmd/perigee serve --gateway 127.0.0.1:0 --management 127.0.0.1:0 examples/hello >"$dir/serve.log" 2>&1 &
server=$!
trap 'kill -- -$server 2>/dev/null || true' EXIT
for _ in $(seq 1200); do
  url="$(grep -o 'http://127.0.0.1:[0-9]*/hello' "$dir/serve.log" || true)"
  if [ -n "$url" ] && answer="$(curl -fsS "$url/Ada" 2>/dev/null)"; then
    echo "$answer"
    [ "$answer" = '{"greeting":"Hello, Ada!"}' ] && exit 0
    echo "that is not the greeting" >&2
    exit 1
  fi
  sleep 0.5
done
echo "no answer within ten minutes:" >&2
cat "$dir/serve.log" >&2
exit 1
