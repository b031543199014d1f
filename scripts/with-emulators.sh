#!/usr/bin/env bash
# Runs a command with the Firestore and Pub/Sub emulators beside it:
#   scripts/with-emulators.sh go test ./...
# Suites that need an emulator do not skip then: PERIGEE_REQUIRE_EMULATORS is set.
set -euo pipefail
command -v gcloud >/dev/null || { echo "gcloud with the components cloud-firestore-emulator and pubsub-emulator is needed: https://cloud.google.com/sdk/docs/install" >&2; exit 1; }
dir="$(mktemp -d)"
pids=()
cleanup() {
  for p in "${pids[@]}"; do kill -- "-$p" 2>/dev/null || true; done
  rm -rf "$dir"
}
trap cleanup EXIT INT TERM

free_port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }
# start NAME PORT ARGS...: starts an emulator in a process group of its own and
# waits until it accepts connections.
start() {
  local name="$1" port="$2"
  shift 2
  CLOUDSDK_CORE_DISABLE_PROMPTS=1 setsid gcloud "$@" --host-port="127.0.0.1:$port" >"$dir/$name.log" 2>&1 &
  pids+=("$!")
  for _ in $(seq 120); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return 0
    sleep 0.5
  done
  echo "the $name emulator did not start:" >&2
  cat "$dir/$name.log" >&2
  exit 1
}

firestore="$(free_port)"
start firestore "$firestore" emulators firestore start
mkdir -p "$dir/pubsub"
pubsub="$(free_port)"
start pubsub "$pubsub" beta emulators pubsub start --project=perigee-test --data-dir="$dir/pubsub"

export FIRESTORE_EMULATOR_HOST="127.0.0.1:$firestore" PUBSUB_EMULATOR_HOST="127.0.0.1:$pubsub"
export PERIGEE_REQUIRE_EMULATORS=1
status=0
"$@" || status=$?
exit "$status"
