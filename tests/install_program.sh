#!/usr/bin/env bash
# Installs a program that some tests need, where that is possible; where it is not, they are skipped and say so.
# Arguments: what for, Debian's package, and the names of programs of which one is enough.
set -u
what=$1 package=$2
for name in "${@:3}"; do
  PATH="$PATH:/usr/sbin" command -v "$name" >/dev/null && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing $package for $what"
  # The level 1 is one in which no service is started by its package.
  export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$package"; } >/dev/null 2>&1 ||
    echo "$package could not be installed: $what will be skipped"
else
  echo "$package is not installed: $what will be skipped"
fi
exit 0
