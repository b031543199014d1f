#!/usr/bin/env bash
# Gives traffic back to the revisions that had it before deploy.sh, and fails, unless
# promote.sh went well. The variables are those of deploy.sh. To undo a release that
# passed: scripts/roll-back.sh --force
set -euo pipefail
: "${PROJECT:?}" "${REGION:?}"
state="${STATE:-.release}"
if [ -e "$state/passed" ] && [ "${1:-}" != --force ]; then
  echo "nothing to roll back"
  exit 0
fi
failed=0
for plane in gateway management; do
  case "$plane" in
  management) service="${MANAGEMENT_SERVICE:-perigee-management}" ;;
  gateway) service="${GATEWAY_SERVICE:-perigee-gw-test}" ;;
  esac
  [ -s "$state/$plane.before" ] || continue # not reached
  gcloud run services update-traffic "$service" --project "$PROJECT" --region "$REGION" \
    --to-revisions "$(cat "$state/$plane.before")" --quiet || { echo "$service is not rolled back" >&2; failed=1; }
done
[ "$failed" = 0 ] || exit 2
[ "${1:-}" = --force ] || { echo "the release failed; the revisions before it serve" >&2; exit 1; }
