#!/usr/bin/env bash
# Makes a backup every day at BACKUP_AT (hh:mm). One that failed is made again every hour until it works.
set -euo pipefail
# Each background job is a process group of its own: a stop reaches all processes of a backup.
set -m

[[ $BACKUP_AT =~ ^([01][0-9]|2[0-3]):[0-5][0-9]$ ]] || {
  printf "schedule.sh: BACKUP_AT is '%s'; set a time such as 02:30\n" "$BACKUP_AT" >&2
  exit 1
}
job=
trap '[[ -z $job ]] || kill -- "-$job" 2>/dev/null; wait; exit 0' TERM INT

# Bash hears a signal at once only while it waits for a background job.
run() {
  "$@" &
  job=$!
  wait "$job"
}

sleep_until_it_is_time() {
  local now next
  now=$(date +%s)
  next=$(date --date="$BACKUP_AT" +%s)
  ((next > now)) || next=$(date --date="tomorrow $BACKUP_AT" +%s)
  run sleep $((next - now))
}

touch /tmp/started
# A host that was off at that time makes up for it.
[[ -n $(find /backups -name verified -mmin +1440) ]] || sleep_until_it_is_time
while true; do
  until run backup.sh; do
    printf 'schedule.sh: the backup failed; it is made again in an hour\n' >&2
    run sleep 1h
  done
  sleep_until_it_is_time
done
