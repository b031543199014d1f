#!/usr/bin/env bash
# Brings new revisions of both services, which get no traffic yet. What serves now
# is written down for roll-back.sh.
#   PROJECT=p REGION=europe-west1 IMAGE=... VERSION=1 scripts/deploy.sh
#
# PROJECT, REGION                     where the services are
# GATEWAY_SERVICE, MANAGEMENT_SERVICE their names, as infra/gcp made them
#                                     (default perigee-gw-test, perigee-management)
# IMAGE, VERSION                      as for image.sh
# STATE                               folder for what the other steps need (default .release)
set -euo pipefail
: "${PROJECT:?}" "${REGION:?}" "${IMAGE:?}" "${VERSION:?}"
state="${STATE:-.release}"
where=(--project "$PROJECT" --region "$REGION")
rm -rf "$state"
mkdir -p "$state"

# The Management API first: it writes what gateways read.
for plane in management gateway; do
  case "$plane" in
  management) service="${MANAGEMENT_SERVICE:-perigee-management}" ;;
  gateway) service="${GATEWAY_SERVICE:-perigee-gw-test}" ;;
  esac
  # Lines of revision=percent; those without a percentage only have a tag.
  gcloud run services describe "$service" "${where[@]}" --flatten='status.traffic[]' \
    --format='csv[no-heading,separator="="](status.traffic.revisionName,status.traffic.percent)' >"$state/$plane.traffic"
  grep -E '=[1-9][0-9]*$' "$state/$plane.traffic" | paste -sd, >"$state/$plane.before" || {
    echo "no revision of $service serves: Terraform makes the first one (docs/DEPLOY.md)" >&2
    exit 1
  }
  gcloud run deploy "$service" "${where[@]}" --image "$IMAGE-$plane:$VERSION" --no-traffic --tag candidate --quiet
done
