#!/usr/bin/env bash
# Calls both services and looks at what they answer.
#   PROJECT=p REGION=europe-west1 scripts/smoke-test.sh [candidate|live]
#
# candidate (default) is the revision that deploy.sh brought, live is what callers
# get. PROJECT, REGION, GATEWAY_SERVICE and MANAGEMENT_SERVICE as for deploy.sh.
#
# SMOKE_PATH, SMOKE_STATUS  a call of the gateway and the status it must have. The
#                           default is a path that no proxy has: the 404 says that
#                           the gateway runs and can read its configuration, for
#                           without one it is a 503.
# SMOKE_IDENTITY            true: the services take callers that IAM lets in only
# SMOKE_TRIES               how often to ask, 3 seconds apart (default 10)
set -euo pipefail
: "${PROJECT:?}" "${REGION:?}"
which="${1:-candidate}"
body="$(mktemp)"
trap 'rm -f "$body"' EXIT

# url SERVICE: the address of the revision.
url() {
  if [ "$which" = live ]; then
    gcloud run services describe "$1" --project "$PROJECT" --region "$REGION" --format='value(status.url)'
    return
  fi
  gcloud run services describe "$1" --project "$PROJECT" --region "$REGION" --flatten='status.traffic[]' \
    --format='csv[no-heading](status.traffic.tag,status.traffic.url)' | sed -n 's/^candidate,//p'
}

# expect STATUS TEXT URL: asks until the answer has the status and the text.
expect() {
  local status="" auth=()
  if [ "${SMOKE_IDENTITY:-false}" = true ]; then
    auth=(-H "X-Serverless-Authorization: Bearer $(gcloud auth print-identity-token --audiences="$3")")
  fi
  for try in $(seq "${SMOKE_TRIES:-10}"); do
    [ "$try" = 1 ] || sleep "${SMOKE_PAUSE:-3}"
    status="$(curl -sS --max-time 30 -o "$body" -w '%{http_code}' ${auth[@]+"${auth[@]}"} "$3" || true)"
    if [ "$status" = "$1" ] && { [ -z "$2" ] || grep -qF -- "$2" "$body"; }; then
      echo "ok: $3 answers $status"
      return 0
    fi
  done
  echo "$3 answers $status, want $1 with \"$2\":" >&2
  head -c 1000 "$body" >&2
  echo >&2
  return 1
}

gateway="$(url "${GATEWAY_SERVICE:-perigee-gw-test}")"
management="$(url "${MANAGEMENT_SERVICE:-perigee-management}")"
[ -n "$gateway" ] && [ -n "$management" ] || { echo "there is no revision \"$which\"" >&2; exit 1; }
if [ -n "${SMOKE_PATH:-}" ]; then
  expect "${SMOKE_STATUS:-200}" "" "$gateway$SMOKE_PATH"
else
  expect 404 messaging.adaptors.http.flow.ApplicationNotFound "$gateway/perigee-smoke-test"
fi
# Nobody is let in without credentials.
expect 401 UNAUTHENTICATED "$management/v1/organizations"
