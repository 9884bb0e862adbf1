#!/bin/sh
# Start of the nginx substitute, written from the documented contract of the official image:
# before nginx itself starts, /etc/nginx/templates/*.template are filled from the environment
# into /etc/nginx/conf.d, then /docker-entrypoint.d is worked through in the order of names
# (*.envsh is sourced, *.sh is run when it is executable).
set -eu

say() {
  if [ -z "${NGINX_ENTRYPOINT_QUIET_LOGS:-}" ]; then
    echo "docker-entrypoint: $*"
  fi
}

fill_templates() {
  templates=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
  suffix=${NGINX_ENVSUBST_TEMPLATE_SUFFIX:-.template}
  output=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}
  [ -d "$templates" ] || return 0
  if [ ! -w "$output" ]; then
    say "$templates exists, but $output is not writable: templates are left as they are" >&2
    return 0
  fi

  # Only names that exist are replaced, so nginx keeps its own variables.
  names=$(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p' | grep -E "${NGINX_ENVSUBST_FILTER:-.}" || true)
  # shellcheck disable=SC2016,SC2086 # the dollar is for envsubst, one word for each name
  allowed=$([ -z "$names" ] || printf '${%s} ' $names)

  find "$templates" -follow -type f -name "*$suffix" | sort | while IFS= read -r template; do
    relative=${template#"$templates"/}
    target=$output/${relative%"$suffix"}
    mkdir -p "$(dirname "$target")"
    say "$template -> $target"
    envsubst "$allowed" <"$template" >"$target"
  done
}

case "${1:-}" in
  nginx | nginx-debug)
    fill_templates
    for script in /docker-entrypoint.d/*; do
      case "$script" in
        *.envsh)
          if [ -x "$script" ]; then
            say "sourcing $script"
            # shellcheck disable=SC1090 # the files are the user's
            . "$script"
          fi
          ;;
        *.sh)
          if [ -x "$script" ]; then
            say "running $script"
            "$script"
          fi
          ;;
      esac
    done
    ;;
esac

exec "$@"
