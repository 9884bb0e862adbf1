#!/usr/bin/env bash
# What is done to a running service, as root, in the folder of install.sh. Each paragraph stands by itself.

# Release a version
./release.sh 1.1.0

# Roll back
./release.sh --rollback

# Restart the instances one after another
./release.sh --restart

# Use changed settings
./install.sh api.example.com
./release.sh --restart

# Take new processes
for instance in 1 2; do
  systemctl reload "assistant-api@$instance.service"
  curl --fail --silent --show-error --output /dev/null --max-time 60 \
    --unix-socket "/run/assistant/api-$instance.sock" http://localhost/health/ready || break
done

# Add an API key
(
  umask 077
  openssl rand -hex 24 >api_key_of_another
)
printf 'another:%s\n' "$(tr -d '\n' <api_key_of_another | sha256sum | cut -d ' ' -f 1)" \
  >>/etc/assistant/credentials/api_keys

# Revoke an API key
sed --in-place '/^another:/d' /etc/assistant/credentials/api_keys

# Change the password of the database
openssl rand -hex 24 >/etc/assistant/credentials/database_password
./install.sh api.example.com
./release.sh --restart

# Try the alarm
systemctl start assistant-failed@trial.service

# Tell where alarms go
printf 'https://chat.example.com/hooks/assistant\n' >/etc/assistant/credentials/alert_url

# See what it uses
systemctl show --property=Id,MemoryCurrent,MemoryMax,TasksCurrent,NRestarts 'assistant-*.service'

# See its metrics
curl --fail --silent --show-error --unix-socket /run/assistant/api-1.sock http://localhost/metrics

# See what has failed
systemctl --no-pager --failed
journalctl --no-pager --priority=alert --since=yesterday

# Start what has failed again
systemctl reset-failed assistant-api@1.service
systemctl start assistant-api@1.service

# Make a backup now
systemctl start assistant-backup.service
journalctl --no-pager --unit=assistant-backup.service --lines=5 --output=cat

# See the backups
systemd-run --quiet --pipe --wait --collect --property=EnvironmentFile=/etc/assistant/backup.env \
  --setenv=RESTIC_PASSWORD_FILE=/etc/assistant/credentials/backup_password \
  restic --no-lock --no-cache snapshots --compact

# Restore the newest backup
if runuser --user=postgres -- psql --no-psqlrc --dbname=assistant_before --command='' 2>/dev/null; then
  echo "there is a database of before already: put it back, or drop it" >&2
  false
else
  # All that uses the database, and what would start it: the stop of the target does not wait for its units.
  systemctl stop assistant.target 'assistant-*.timer' 'assistant-*.service' &&
    runuser --user=postgres -- psql --quiet --command='ALTER DATABASE assistant RENAME TO assistant_before' &&
    ./install.sh api.example.com &&
    systemctl start assistant-restore@latest.service &&
    # The cache would go on to answer from the database of before.
    systemctl restart redis-server@cache.service &&
    systemctl start assistant-provider.service assistant.target
fi

# Put the database of before back
# Only if there is one. What has been restored is dropped.
runuser --user=postgres -- psql --no-psqlrc --dbname=assistant_before --command='' &&
  systemctl stop assistant.target 'assistant-*.timer' 'assistant-*.service' &&
  runuser --user=postgres -- dropdb --if-exists --force assistant &&
  runuser --user=postgres -- psql --quiet --command='ALTER DATABASE assistant_before RENAME TO assistant' &&
  systemctl restart redis-server@cache.service &&
  systemctl start assistant-provider.service assistant.target

# Drop the database of before
runuser --user=postgres -- dropdb assistant_before

# Read the log of the API
journalctl --no-pager --unit='assistant-api@*' --since=-1h --output=cat

# Follow all logs
journalctl --follow --unit='assistant-*' --unit=nginx.service

# Read errors only
journalctl --no-pager --unit='assistant-*' --since=-1d --output=cat | grep --extended-regexp '"level": "(ERROR|CRITICAL)"'

# See what the logs take
journalctl --disk-usage
du --summarize --human-readable /var/log/assistant

# See what takes the disk
df --human-readable
du --one-file-system --max-depth=3 --human-readable /var /opt | sort --human-numeric-sort | tail --lines=15

# Rotate the access log now
logrotate --force /etc/logrotate.d/assistant
