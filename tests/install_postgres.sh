#!/usr/bin/env bash
# Installs Postgres's programs for the tests of the records where that is possible; where it is not, they are skipped
# and say so.
set -u
command -v initdb >/dev/null && exit 0
compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing Postgres for the tests of the records"
  export DEBIAN_FRONTEND=noninteractive
  # The tests make a cluster of their own: Debian's would run for nothing.
  settings=/etc/postgresql-common/createcluster.conf
  [ -e "$settings" ] || { mkdir -p "${settings%/*}" && echo "create_main_cluster = false" >"$settings"; }
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql; } >/dev/null 2>&1 ||
    echo "Postgres could not be installed: its tests will be skipped"
else
  echo "Postgres is not installed: its tests will be skipped"
fi
exit 0
