#!/usr/bin/env bash
# Gives the revisions that deploy.sh brought all traffic, and calls what callers get
# then. roll-back.sh must follow: it undoes this unless all of it went well. The
# variables are those of deploy.sh and smoke-test.sh.
set -euo pipefail
: "${PROJECT:?}" "${REGION:?}"
state="${STATE:-.release}"
for service in "${MANAGEMENT_SERVICE:-perigee-management}" "${GATEWAY_SERVICE:-perigee-gw-test}"; do
  gcloud run services update-traffic "$service" --project "$PROJECT" --region "$REGION" --to-tags candidate=100 --quiet
done
"$(dirname "$0")/smoke-test.sh" live
touch "$state/passed"
