#!/usr/bin/env bash
# Gets a certificate that every client knows, by ACME, in the place of the private one that install.sh has made. Run it as
# root, a paragraph at a time.
set -euo pipefail

# Install certbot
apt-get update
apt-get install --yes --no-install-recommends certbot

# Obtain the certificate
certbot certonly --non-interactive --agree-tos --register-unsafely-without-email \
  --cert-name assistant --domain api.example.com \
  --webroot --webroot-path /var/lib/assistant-acme \
  --deploy-hook /usr/local/lib/assistant/certificate-deploy.sh

# Look at what nginx serves
openssl s_client -connect 127.0.0.1:443 -servername api.example.com </dev/null 2>/dev/null |
  openssl x509 -noout -issuer -serial -dates -ext subjectAltName

# Look at what certbot has
certbot certificates

# Try the renewal
# Without a terminal certbot waits for up to eight minutes, unless it is told not to.
certbot renew --dry-run --run-deploy-hooks --no-random-sleep-on-renew

# Look at the timers
systemctl list-timers --no-pager certbot.timer assistant-certificate.timer

# Renew it now
certbot renew --cert-name assistant --force-renewal --no-random-sleep-on-renew

# Look when it ends
/usr/local/lib/assistant/certificate-expires.sh

# Hand it to nginx again
RENEWED_LINEAGE=/etc/letsencrypt/live/assistant /usr/local/lib/assistant/certificate-deploy.sh
