#!/usr/bin/env bash
# For the folder of the service, with the settings and the environment that it runs with.

# See what counts
gunicorn --print-config | grep -E '^(bind|workers|timeout|graceful_timeout|keepalive|max_requests) '

# Check before a reload
gunicorn --check-config
