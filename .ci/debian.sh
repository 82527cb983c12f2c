# shellcheck shell=bash
# What the scripts beside this file ask of Debian. Sourced, never run.

# Installs the packages that dpkg does not know as installed. RUNLEVEL=1 keeps init scripts from starting a
# daemon that nobody here would stop.
apt_install() {
  local missing=() package
  for package in "$@"; do
    dpkg-query --show --showformat='${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  printf 'apt installs %s\n' "${missing[*]}" >&2
  apt-get -qq update >&2
  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
    apt-get -qq install --yes --no-install-recommends "${missing[@]}" </dev/null >&2
}

# Prints the release's name in apt sources, such as bookworm.
debian_codename() { sed -n 's/^VERSION_CODENAME=//p' /etc/os-release; }
