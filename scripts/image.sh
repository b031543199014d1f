#!/usr/bin/env bash
# Builds the images of both planes, and prints their names:
#   IMAGE=europe-west1-docker.pkg.dev/PROJECT/perigee/perigee VERSION=1 scripts/image.sh
#
# IMAGE     the images are IMAGE-gateway and IMAGE-management (default perigee)
# VERSION   their tag (default dev)
# PLATFORM  default linux/amd64, which is what Cloud Run runs
set -euo pipefail
cd "$(dirname "$0")/.."
image="${IMAGE:-perigee}" version="${VERSION:-dev}"
for plane in gateway management; do
  DOCKER_BUILDKIT=1 docker build --platform "${PLATFORM:-linux/amd64}" --target "$plane" \
    --build-arg "VERSION=$version" --tag "$image-$plane:$version" . >&2
  echo "$image-$plane:$version"
done
