#!/usr/bin/env bash
# The public images that the project's Dockerfiles start from, made from Debian's and npm's packages where no image
# registry answers. Needs a running engine (.ci/engine.sh start) and root.
#
#   .ci/base-images.sh make     each image that the engine neither has nor can pull
#   .ci/base-images.sh check    builds one small image on each, with BuildKit and with the legacy builder
#   .ci/base-images.sh remove   the images made here, and no pulled one
#
# A local image holds the machine's certificates, package indexes and proxies in its configuration files, so that
# `RUN pip install`, `RUN npm ci` and `RUN apt-get install` work in it as they do outside. When those or this script
# change, `make` makes it anew. It is for this machine alone: never push it.
set -euo pipefail
# shellcheck source=.ci/debian.sh
source "$(dirname "${BASH_SOURCE[0]}")/debian.sh"

suite=trixie
python_image=python:3.13-slim-trixie
node_image=node:24-trixie-slim
debian_image=ci-base/debian:$suite
label=ci-base.fingerprint
pull_limit_s=60

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf 'base images: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
fail_with_log() { tail -n 30 "$work/log" >&2; die "$*"; }

# Prints a pip setting of this machine: the environment's, else its configuration files'.
pip_setting() {
  local variable=PIP_${1^^}
  variable=${variable//-/_}
  printf '%s' "${!variable:-$(python3 -m pip config get "global.$1" 2>/dev/null || true)}"
}

# Writes under $1 what a file system needs to reach this machine's package sources. Files, not image environment: every
# builder reads them, and containers started from the image see no variable of the machine that built it.
write_machine_config() {
  local http=${HTTP_PROXY:-${http_proxy:-}} https=${HTTPS_PROXY:-${https_proxy:-}} key value
  mkdir -p "$1"/etc/{apt/apt.conf.d,ssl/certs} "$1"/usr/local/{etc,share/ca-certificates}
  cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"
  find /usr/local/share/ca-certificates -name '*.crt' -exec cp {} "$1/usr/local/share/ca-certificates/" \;
  {
    apt-config dump Acquire | grep -E '^Acquire::(Check-Valid-Until|Check-Date|https?::Proxy) ' || true
    [[ -z $http ]] || echo "Acquire::http::Proxy \"$http\";"
    [[ -z $https ]] || echo "Acquire::https::Proxy \"$https\";"
    # As in the public images: apt keeps no second copy of what it has installed.
    echo 'Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";'
    echo 'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };'
  } >"$1/etc/apt/apt.conf.d/80build-machine"
  {
    echo '[global]'
    echo 'cert = /etc/ssl/certs/ca-certificates.crt'
    for key in index-url extra-index-url trusted-host; do
      value=$(pip_setting "$key")
      [[ -z $value ]] || echo "$key = ${value//$'\n'/ }"
    done
    [[ -z $https$http ]] || echo "proxy = ${https:-$http}"
  } >"$1/etc/pip.conf"
  {
    echo 'cafile=/etc/ssl/certs/ca-certificates.crt'
    echo "registry=$(npm config get registry)"
    echo "strict-ssl=$(npm config get strict-ssl)"
    [[ -z $http ]] || echo "proxy=$http"
    [[ -z $https ]] || echo "https-proxy=$https"
  } >"$1/usr/local/etc/npmrc"
}

# Prints a digest of all that a local image is made from, apart from the packages' own versions.
fingerprint() { (cd "$1" && find . -type f | sort | xargs sha256sum && sha256sum <"$script") | sha256sum | cut -c1-16; }

# The Debian archive that this machine itself uses; empty leaves debootstrap its default.
debian_mirror() {
  # shellcheck disable=SC2016 # apt expands these
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(LABEL)' 'Created-By: Packages' |
    sed -n "s/ $(debian_codename) Debian\$//p" | head -n 1
}

make_debian() {
  local root=$work/root mirror
  apt_install debootstrap
  mirror=$(debian_mirror)
  say "debootstrap $suite"
  debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" ${mirror:+"$mirror"} >"$work/log" 2>&1 ||
    fail_with_log 'debootstrap failed'
  cp -r "$config/." "$root/"
  chroot "$root" update-ca-certificates >"$work/log" 2>&1 || fail_with_log 'update-ca-certificates failed'
  # The machine's bundle may hold more than Debian's package and the local directory account for.
  cp "$config/etc/ssl/certs/ca-certificates.crt" "$root/etc/ssl/certs/"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/cache/apt/*.bin "$root"/var/lib/apt/lists/* "$root"/debootstrap
  tar --directory "$root" --numeric-owner --create . |
    docker import --change 'CMD ["bash"]' --change "LABEL $label=$wanted" - "$debian_image" >/dev/null
  rm -rf "$root"
}

# A virtual environment laid over /usr/local gives the public image's paths (/usr/local/bin/python, pip,
# lib/python3.13/site-packages), and pip in it may install where Debian's own refuses.
make_python() {
  docker build --tag "$python_image" - >"$work/log" 2>&1 <<DOCKERFILE || fail_with_log "$python_image does not build"
FROM $debian_image
RUN apt-get -qq update \
 && apt-get -qq install --yes --no-install-recommends netbase tzdata python3.13 python3.13-venv \
 && rm -rf /var/lib/apt/lists/* /usr/lib/python3.13/EXTERNALLY-MANAGED \
 && python3.13 -m venv --system-site-packages /usr/local \
 && pip --version
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["python3"]
DOCKERFILE
}

# npm carries Node as one binary package per platform, and npm itself.
make_node() {
  local platform
  case $(dpkg --print-architecture) in
    amd64) platform=linux-x64 ;;
    arm64) platform=linux-arm64 ;;
    *) die "npm carries no Node binary for $(dpkg --print-architecture)" ;;
  esac
  mkdir -p "$work/node/npm" "$work/tarballs"
  (cd "$work/tarballs" && npm pack --silent "node-$platform@24" npm@11 >/dev/null)
  tar -xzf "$work/tarballs/node-$platform"-*.tgz --directory "$work/node" --strip-components 2 package/bin/node
  tar -xzf "$work/tarballs"/npm-*.tgz --directory "$work/node/npm" --strip-components 1
  chmod 755 "$work/node/node"
  cat >"$work/Dockerfile" <<DOCKERFILE
FROM $debian_image
COPY node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm
RUN ln -s node /usr/local/bin/nodejs \
 && ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \
 && ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx \
 && useradd --uid 1000 --user-group --create-home --shell /bin/bash node \
 && node --version && npm --version
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["node"]
DOCKERFILE
  docker build --tag "$node_image" --file "$work/Dockerfile" "$work/node" >"$work/log" 2>&1 ||
    fail_with_log "$node_image does not build"
}

# Prints the fingerprint that image $1 was made with: empty for a pulled one. Fails when the engine has no such image.
made_from() { docker image inspect --format "{{or (index .Config.Labels \"$label\") \"\"}}" "$1" 2>/dev/null; }

# Brings image $1 about: kept where pulled or up to date, pulled where a registry answers, else made by the function $2.
ensure() {
  local have
  if have=$(made_from "$1"); then
    [[ -n $have && $have != "$wanted" ]] || return 0
  elif timeout "$pull_limit_s" docker pull --quiet "$1" >/dev/null 2>&1; then
    say "$1 pulled"
    return
  fi
  [[ $(made_from "$debian_image") == "$wanted" ]] || make_debian
  "$2"
  say "$1 made locally"
}

make() {
  config=$work/config
  write_machine_config "$config"
  wanted=$(fingerprint "$config")
  ensure "$python_image" make_python
  ensure "$node_image" make_node
}

# Builds a throw-away image on $1 whose only step is $2, with both builders.
check_image() {
  local builder
  for builder in 1 0; do
    printf 'FROM %s\nRUN %s\n' "$1" "$2" |
      DOCKER_BUILDKIT=$builder docker build --no-cache --tag ci-base/check - >"$work/log" 2>&1 ||
      fail_with_log "$1 with DOCKER_BUILDKIT=$builder does not build: $2"
    docker image rm --force ci-base/check >/dev/null
    say "$1 with DOCKER_BUILDKIT=$builder builds: $2"
  done
}

check() {
  local apt='apt-get update && apt-get install -y tini && tini --version'
  check_image "$python_image" "pip install orjson && python3 -c 'import orjson' && python --version && $apt"
  check_image "$node_image" "cd /tmp && npm install is-number && node -e 'require(\"is-number\")' && $apt"
}

remove() {
  local image
  for image in "$python_image" "$node_image" "$debian_image"; do
    [[ -z $(made_from "$image") ]] || docker image rm "$image" >/dev/null
  done
}

script=$(realpath "$0")
case ${1:-} in
  make) make ;;
  check) check ;;
  remove) remove ;;
  *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2 ;;
esac
