#!/usr/bin/env bash
# Pushes the images of both planes that image.sh built, with the same variables.
set -euo pipefail
for plane in gateway management; do
  docker push "${IMAGE:?}-$plane:${VERSION:?}"
done
