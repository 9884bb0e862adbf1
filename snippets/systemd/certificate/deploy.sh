#!/usr/bin/env bash
# Puts the pair that certbot has got where nginx reads it, and lets nginx take it. certbot runs it (--deploy-hook), and
# root may: RENEWED_LINEAGE=/etc/letsencrypt/live/assistant certificate-deploy.sh
#
# A pair that clients would not accept is not taken. What nginx refuses is taken back, and nginx serves on with the old one.
# An nginx that does not run is started.
set -euo pipefail
umask 077

tls=/etc/assistant/tls

# certbot ends with 0 all the same and, when its timer has started it, says nothing.
fail() {
  printf 'certificate-deploy.sh: %s\n' "$*" >&2
  if [[ -n ${INVOCATION_ID:-} ]]; then
    # The unit is named: of a program that has ended already the journal no longer knows it.
    printf '%s\n' "MESSAGE=${*//$'\n'/ }" PRIORITY=3 SYSLOG_IDENTIFIER=certificate-deploy.sh \
      OBJECT_SYSTEMD_UNIT=certbot.service | logger --journald
    systemctl start --no-block assistant-failed@certbot.service.service
  fi
  exit 1
}

work=$(mktemp --directory "$tls/.new.XXXXXX")
installed=
end() {
  # Unless nginx has accepted the new pair.
  if [[ -n $installed ]]; then
    for file in tls.crt tls.key; do
      if [[ -e $work/old/$file ]]; then
        mv --force "$work/old/$file" "$tls"
      else
        rm --force "$tls/$file"
      fi
    done
  fi
  rm --recursive --force "$work"
}
trap end EXIT
trap 'exit 1' INT TERM HUP

[[ -n ${RENEWED_LINEAGE:-} ]] || fail "RENEWED_LINEAGE is empty; let certbot run this, or name the folder of the pair"
[[ -r $RENEWED_LINEAGE/fullchain.pem && -r $RENEWED_LINEAGE/privkey.pem ]] || fail "$RENEWED_LINEAGE has no pair"
cp "$RENEWED_LINEAGE/fullchain.pem" "$work/tls.crt"
cp "$RENEWED_LINEAGE/privkey.pem" "$work/tls.key"
chmod 0444 "$work/tls.crt"
chmod 0400 "$work/tls.key"

[[ $(openssl x509 -in "$work/tls.crt" -noout -pubkey) == "$(openssl pkey -in "$work/tls.key" -pubout)" ]] ||
  fail "the key in $RENEWED_LINEAGE is not that of the certificate; the old pair stays"
names=$(sed --quiet 's/^ *server_name \([a-z0-9.-]*[a-z]\);$/\1/p' /etc/nginx/nginx.conf | sort --unique)
[[ -n $names ]] || fail "/etc/nginx/nginx.conf has no server_name; the old pair stays"
for name in $names; do
  # By what this host trusts: a certificate for tests of the CA is refused as well.
  said=$(openssl verify -purpose sslserver -verify_hostname "$name" -untrusted "$work/tls.crt" "$work/tls.crt" 2>&1) ||
    fail "clients of $name would refuse it: $(sed --quiet 's/^error .* lookup: //p' <<<"$said"); the old pair stays"
done

mkdir "$work/old"
for file in tls.crt tls.key; do
  [[ ! -e $tls/$file ]] || cp --preserve "$tls/$file" "$work/old"
done
installed=yes
mv --force "$work/tls.crt" "$work/tls.key" "$tls"
said=$(nginx -q -t 2>&1) || fail "nginx refuses its configuration: $said; what was there before is back"
installed=
said=$(systemctl reload-or-restart nginx.service 2>&1) ||
  fail "nginx can't be reloaded or started: $said; the new pair is in its place"
printf 'certificate-deploy.sh: nginx takes the certificate of %s that ends on %s\n' \
  "${names//$'\n'/, }" "$(openssl x509 -in "$tls/tls.crt" -noout -enddate | cut --delimiter== --fields=2)"
