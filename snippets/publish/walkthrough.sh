#!/usr/bin/env bash
# The built pages, served by nginx, in the folder of compose.yaml. They are in ../../site, where `make site` puts them.

# Put the pages beside it
mkdir site
cp -R ../../site/. site
# Another user reads them, whatever umask they were made under.
chmod -R a+rX nginx.conf site/*
chmod 0755 site

# Start it
docker compose up --detach --wait --wait-timeout 60

# Ask it
curl --fail --silent --show-error --output /dev/null --write-out '%{http_code} %{content_type}\n' \
  http://127.0.0.1:8080/
curl --fail --silent --show-error --head http://127.0.0.1:8080/ | grep --ignore-case '^content-security-policy:'

# Put new pages in their place
cp -R ../../site/. site
# What is not among them goes.
find site -mindepth 1 -depth ! -exec test -e ../../{} \; -delete
chmod -R a+rX site/*

# Make an image of it
docker build --build-context site=site --tag handbook:1.0.0 .

# Run the image
docker run --detach --name handbook --read-only --tmpfs /tmp:size=16m --cap-drop ALL \
  --security-opt no-new-privileges --memory 64m --pids-limit 16 --publish 127.0.0.1::8080 handbook:1.0.0
curl --fail --silent --show-error --retry 20 --retry-all-errors --retry-delay 1 --output /dev/null \
  --write-out '%{http_code} %{content_type}\n' "http://$(docker port handbook 8080)/"

# Remove it
docker rm --force handbook
docker image rm handbook:1.0.0
docker compose down
rm -r site
