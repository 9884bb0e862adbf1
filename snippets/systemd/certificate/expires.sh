#!/usr/bin/env bash
# Fails when the certificate that nginx serves, or the one in its file, ends soon: in less than 21 days or, of one that is
# short-lived, in the last quarter of its life. certbot renews when a third is left, so then renewals fail.
set -euo pipefail

most=$((21 * 24 * 60 * 60))
code=0

# judge WHAT HINT: the certificate comes on standard input.
judge() {
  local certificate begins ends left limit text
  certificate=$(openssl x509 2>/dev/null) || {
    printf 'certificate-expires.sh: %s: there is none; %s\n' "$1" "$2" >&2
    return 1
  }
  begins=$(date --date="$(openssl x509 -noout -startdate <<<"$certificate" | cut --delimiter== --fields=2)" +%s)
  ends=$(date --date="$(openssl x509 -noout -enddate <<<"$certificate" | cut --delimiter== --fields=2)" +%s)
  left=$((ends - $(date +%s)))
  limit=$(((ends - begins) / 4))
  ((limit < most)) || limit=$most
  text="$1 ends in $((left / 86400)) days, on $(date --utc --date="@$ends" +%F)"
  if ((left < limit)); then
    printf 'certificate-expires.sh: %s; %s\n' "$text" "$2" >&2
    return 1
  fi
  printf '%s\n' "$text"
}

# systemd hands the file to a service that may read nothing else.
file=${CREDENTIALS_DIRECTORY:-/etc/assistant/tls}/tls.crt
judge "the certificate in /etc/assistant/tls" "see: journalctl --unit=certbot.service, and: certbot renew --dry-run" \
  <"$file" || code=1

names=$(sed --quiet 's/^ *server_name \([a-z0-9.-]*[a-z]\);$/\1/p' /etc/nginx/nginx.conf | sort --unique)
[[ -n $names ]] || {
  printf 'certificate-expires.sh: /etc/nginx/nginx.conf has no server_name\n' >&2
  code=1
}
for name in $names; do
  timeout 10 openssl s_client -connect 127.0.0.1:443 -servername "$name" </dev/null 2>/dev/null |
    judge "the certificate that nginx serves for $name" "if the file is newer: systemctl reload-or-restart nginx" || code=1
done
exit "$code"
