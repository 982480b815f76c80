#!/usr/bin/env bash
# Makes the recordings in results/recordings again, in about two hours, on a machine that should have nothing else to do:
# Docker at DOCKER_HOST (overlay2 gives the figures of the README), the local engine, and, where SLOW_DOCKER_HOST names an
# engine on a slow storage driver, that one too. `results/record.sh typical-docker ...` makes only those that are named.
set -euo pipefail
cd "$(dirname "$0")/.."
harness=$PWD/.venv/bin/harness
folder=results/recordings
mkdir -p "$folder"

notes=(--runner tmp --runner katas-volume --runner katas-data-container)
standby=(--runner katas-data-container:standby=warm --runner katas-data-container:standby=seeded)
modern=(--runner katas-overlay)
incremental=(--runner katas-volume --runner katas-data-container --runner katas-data-container:standby=seeded --runner katas-overlay)
granularities=(--runner katas-data-container:granularity=kata --runner katas-data-container:granularity=kata,pipe=one-way
  --runner katas-data-container:granularity=kata,pipe=none --runner katas-data-container:granularity=avatar)
proved=("${notes[@]}" "${standby[@]}" "${modern[@]}" --runner katas-subpath "${granularities[@]}"
  --runner katas-data-container:durable=yes)

slow() { DOCKER_HOST=${SLOW_DOCKER_HOST:?names no engine} "$@"; }

record() { # NAME.SUFFIX, then the command without its file
  local out=$folder/$1
  shift
  rm -f "$out.new"
  "$@" "$out.new" || [[ $out == *verify* && -s $out.new ]] # what is not as claimed is worth keeping, too
  mv "$out.new" "$out"
}

typical-docker() {
  record typical-docker.jsonl "$harness" compare --engine docker "${notes[@]}" "${standby[@]}" "${modern[@]}" \
    --runner katas-subpath --aa katas-volume --blocks 12 --out
}
typical-local() {
  record typical-local.jsonl "$harness" compare --engine local "${notes[@]}" "${standby[@]}" "${modern[@]}" --blocks 12 --out
}
typical-slow() {
  record typical-slow.jsonl slow "$harness" compare --engine docker "${notes[@]}" "${standby[@]}" --blocks 6 --out
}
scale-docker() {
  record scale-docker.jsonl "$harness" scale --engine docker "${incremental[@]}" --files none --blocks 3 --out
}
files-docker() {
  record files-docker.jsonl "$harness" scale --engine docker "${incremental[@]}" --sizes none --blocks 3 --out
}
load-docker() {
  record load-docker.jsonl "$harness" load --engine docker "${incremental[@]}" --avatars 1,2,4,8,16,32 --seconds 340 --out
}
verify-docker() {
  record verify-docker.json "$harness" verify --engine docker "${proved[@]}" --json
}
verify-docker-notes() {
  record verify-docker-notes.json "$harness" verify --engine docker "${notes[@]}" --json
}
verify-slow() {
  record verify-slow.json slow "$harness" verify --engine docker "${notes[@]}" --runner katas-data-container:standby=seeded \
    --profile ci --json
}
verify-local() {
  record verify-local.json "$harness" verify --engine local --engine local-plain "${notes[@]}" --profile ci --json
}
verify-local-modern() {
  record verify-local-modern.json "$harness" verify --engine local "${standby[@]}" "${modern[@]}" --profile ci --json
}
soak-local() { # an hour
  "$harness" soak --minutes 60 --engine local | tee "$folder/soak-local.txt"
}

all=(typical-docker typical-local scale-docker files-docker load-docker verify-docker verify-docker-notes verify-local verify-local-modern soak-local)
[[ -z ${SLOW_DOCKER_HOST:-} ]] || all+=(typical-slow verify-slow)
for each in "${@:-${all[@]}}"; do
  printf '\n=== %s\n' "$each"
  "$each"
done
