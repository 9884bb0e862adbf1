#!/usr/bin/env bash
# Tells that a unit has failed: a line of the journal with the priority "alert", and a message to the address in the
# credential alert_url, if it holds one. Chat programs that take messages at an address understand {"text": ...}.
set -euo pipefail

text="$1 has failed on $(uname --nodename); see: journalctl --unit=$1 --lines=50"
printf '<1>%s\n' "$text" >&2

read -r address <"$CREDENTIALS_DIRECTORY/alert_url" || true
[[ -z $address ]] ||
  curl --config <(printf 'url = "%s"\n' "$address") \
    --fail --silent --show-error --max-time 10 --retry 2 --output /dev/null \
    --json "{\"text\": \"$text\"}"
