#!/usr/bin/env bash
# Installs Chromium for the browser test where that is possible; where it is not, the test is skipped and says so.
set -u
for name in chromium chromium-browser google-chrome; do
  command -v "$name" >/dev/null && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing Chromium for the browser test"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >/dev/null 2>&1 ||
    echo "Chromium could not be installed: the browser test will be skipped"
else
  echo "Chromium is not installed: the browser test will be skipped"
fi
exit 0
