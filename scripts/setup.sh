#!/usr/bin/env bash
# Puts on a Debian machine what the project needs; every step is skipped when its result is already there.
#
#   scripts/setup.sh python   the virtual environment: enough to lint, check types and run the tests without a kernel
#   scripts/setup.sh kernel   also bcc, kernel headers and iproute2, and bpffs mounted; needs root when something is missing
#   scripts/setup.sh fuzz     also the fuzzer of the long test run
#   scripts/setup.sh qemu     what runs other kernels
#   scripts/setup.sh bench    what the benchmarks measure beside us
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# A caller's Python settings (pyenv, PYTHONPATH, packages of the user) must not reach the environment we build.
unset PYTHONPATH PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV
export PYTHONNOUSERSITE=1
export PATH="$PATH:/usr/sbin:/sbin"

readonly SYSTEM_PYTHON=/usr/bin/python3 # bcc is importable from the distribution's Python only
readonly BPFFS=/sys/fs/bpf
readonly STAMP=.venv/.installed
readonly PYTHON_PACKAGES=(ca-certificates git gnupg openssh-client python3-venv)
readonly QEMU_PACKAGES=(busybox-static debian-archive-keyring qemu-system-x86 util-linux xz-utils)
readonly BENCH_PACKAGES=(conntrack iperf3 iptables nftables)
readonly KERNEL_PACKAGES=(bpftool iproute2 iputils-ping kernel-headers python3-bpfcc)

say() { printf 'setup: %s\n' "$*" >&2; }

fail() {
    say "$@"
    exit 1
}

is_installed() { [[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" == installed ]]; }

# Where microseg/kernel/headers.py looks.
has_headers() {
    compgen -G '/lib/modules/*/build/include/generated/autoconf.h' >/dev/null ||
        compgen -G '/usr/src/linux-headers-*/include/generated/autoconf.h' >/dev/null
}

apt_knows() { [[ "$(LC_ALL=C apt-cache policy "$1" 2>/dev/null)" == *"Candidate: "[^\(]* ]]; }

# bcc compiles against any recent kernel's headers: best those of the running one, else the distribution's newest.
headers_package() {
    local name
    for name in "linux-headers-$(uname -r)" "linux-headers-$(dpkg --print-architecture)" linux-headers-generic; do
        if apt_knows "$name"; then
            echo "$name"
            return
        fi
    done
    return 1
}

# Runs a command silently, and shows all it said when it fails.
quietly() {
    local log
    log=$(mktemp)
    if ! "$@" >"$log" 2>&1 </dev/null; then
        cat "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}

apt_install() {
    quietly apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 install "$@"
}

apt_update() { quietly apt-get -q -o DPkg::Lock::Timeout=300 update; }

require_root() {
    [[ $EUID -eq 0 ]] || fail "$1 needs root. Type: sudo make setup"
}

# Prints what is missing of the packages named; "kernel-headers" stands for those of any kernel.
missing_packages() {
    local name
    for name in "$@"; do
        if [[ $name == kernel-headers ]]; then
            has_headers || echo "$name"
        else
            is_installed "$name" || echo "$name"
        fi
    done
}

# Prints the names as apt knows them; fails when it doesn't know one.
apt_names() {
    local name
    for name in "$@"; do
        if [[ $name == kernel-headers ]]; then
            headers_package || return 1
        else
            apt_knows "$name" || return 1
            echo "$name"
        fi
    done
}

# shellcheck disable=SC2086 # names are one word each
install_packages() {
    local missing names
    command -v dpkg-query >/dev/null || fail "this sets up Debian 12 or newer. Elsewhere, install by hand: $*"
    mapfile -t missing < <(missing_packages "$@")
    [[ ${#missing[@]} -gt 0 ]] || return 0
    require_root "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    say "installing with apt: ${missing[*]}"
    if names=$(apt_names "${missing[@]}") && apt_install $names 2>/dev/null; then
        return 0
    fi
    say "updating apt's lists first"
    apt_update || say "apt-get update failed, its own words are above; going on with the lists there are"
    names=$(apt_names "${missing[@]}") || fail "apt knows no package for one of: ${missing[*]}"
    apt_install $names || fail "apt could not install these; its own words are above: ${missing[*]}"
}

# The environment is built again when what it is made from changes: the requirements, or the folder it stands in.
fingerprint() { { pwd -P && cat pyproject.toml && "$SYSTEM_PYTHON" --version; } | sha256sum; }

make_environment() {
    local wanted
    "$SYSTEM_PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$SYSTEM_PYTHON is older than Python 3.11; this needs Debian 12 or newer."
    wanted=$(fingerprint)
    if [[ -x .venv/bin/python && "$(cat "$STAMP" 2>/dev/null)" == "$wanted" ]]; then
        return 0
    fi
    [[ ! -e .venv ]] || grep -qs '^include-system-site-packages = true' .venv/pyvenv.cfg ||
        fail ".venv was made without --system-site-packages, so bcc can't be imported from it. Type: rm -r .venv"
    say "making the virtual environment .venv"
    quietly "$SYSTEM_PYTHON" -m venv --system-site-packages .venv
    quietly .venv/bin/python -m pip install --quiet --editable '.[dev]' ||
        fail "pip could not install the requirements of pyproject.toml; its own words are above."
    echo "$wanted" >"$STAMP"
}

install_fuzzer() {
    ! .venv/bin/python -c 'import atheris' 2>/dev/null || return 0
    quietly .venv/bin/python -m pip install --quiet --editable '.[fuzz]' ||
        fail "pip could not install the fuzzer; its own words are above."
}

mount_bpffs() {
    if [[ "$(stat -f -c %T "$BPFFS" 2>/dev/null)" == bpf_fs ]]; then
        return 0
    fi
    require_root "mounting $BPFFS"
    mount -t bpf bpf "$BPFFS" || fail "$BPFFS can't be mounted: is this a container without CAP_SYS_ADMIN?"
}

# Sourced: only the functions are wanted.
[[ "${BASH_SOURCE[0]}" == "$0" ]] || return 0

case "${1-}" in
python)
    install_packages "${PYTHON_PACKAGES[@]}"
    make_environment
    ;;
kernel)
    install_packages "${PYTHON_PACKAGES[@]}" "${KERNEL_PACKAGES[@]}"
    make_environment
    mount_bpffs
    ;;
fuzz)
    install_packages "${PYTHON_PACKAGES[@]}"
    make_environment
    install_fuzzer
    ;;
qemu)
    install_packages "${QEMU_PACKAGES[@]}"
    ;;
bench)
    install_packages "${BENCH_PACKAGES[@]}"
    ;;
*)
    fail "usage: scripts/setup.sh python|kernel|fuzz|qemu|bench"
    ;;
esac
