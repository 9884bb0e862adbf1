#!/usr/bin/env bash
# From a fresh Debian 13 to a running service and back, as root, in the folder of install.sh.

# Install
./install.sh api.example.com

# Release the first version
./release.sh 1.0.0

# Check it
# The key comes by a file: what stands in a command is shown to everybody on the machine by `ps`.
api() {
  curl --fail-with-body --silent --show-error --cacert /etc/assistant/ca/ca.crt \
    --resolve api.example.com:443:127.0.0.1 \
    --config <(printf 'header = "Authorization: Bearer %s"\n' "$(</etc/assistant/credentials/api_key)") "$@" &&
    echo
}
api https://api.example.com/health/ready
api https://api.example.com/version

# Store and find a document
api https://api.example.com/v1/documents \
  --json '{"text": "Backups are made every night and tried out every time."}'
api --get https://api.example.com/v1/search --data-urlencode "q=when are backups made"

# Ask a question
api --no-buffer https://api.example.com/v1/answers --json '{"question": "When are backups made?"}'

# Import documents in the background
job=$(api https://api.example.com/v1/jobs \
  --json '{"texts": ["Restores are tried out on Mondays.", "Certificates are renewed by a timer."]}' \
  --output /dev/null --write-out '%header{location}')
for _ in {1..30}; do
  state=$(api "https://api.example.com$job")
  [[ $state == *'"state":"queued"'* || $state == *'"state":"running"'* ]] || break
  sleep 0.5
done
echo "$state"

# Look inside
systemctl --no-pager list-units 'assistant*'
curl --fail --silent --show-error --unix-socket /run/assistant/api-1.sock http://localhost/health/deep
journalctl --no-pager --unit='assistant-api@*' --lines=5 --output=cat

# See that the sandbox is closed
systemd-analyze --no-pager security | grep -E 'UNIT|assistant-'

# Remove it with all its data
./uninstall.sh --with-data
