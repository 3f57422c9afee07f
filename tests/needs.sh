# What the tests and the demo need beyond Cargo.lock, installed where it is
# missing; sourced by tests/run and tests/demo.

# The workspace's rust-version.
rust_needed=1.88

fail() {
    echo "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Before anything is installed: whether we may.
need_root_for() {
    [ "$(id -u)" = 0 ] || has sudo ||
        fail "root is needed to install $*, and there is no sudo: install them as root, or run this as root"
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# Whether this kernel has IPVS itself, and we may use it.
kernel_has_ipvs() {
    [ "$(id -u)" = 0 ] && has ipvsadm && ipvsadm -Ln >/dev/null 2>&1
}

# programs of the lab | Debian's package | RHEL's package
lab_programs="
ipvsadm   ipvsadm   ipvsadm
ip        iproute2  iproute
tc        iproute2  iproute-tc
modprobe  kmod      kmod
git       git       git
rsyslogd  rsyslog   rsyslog
logger    bsdutils  util-linux
logrotate logrotate logrotate
mandoc    mandoc    groff-base
setsid    util-linux util-linux
nsenter   util-linux util-linux
iptables  iptables  iptables-nft
haproxy   haproxy   haproxy
cc        gcc       gcc
nginx     nginx-light nginx
dnsmasq   dnsmasq-base dnsmasq
redis-server redis-server redis
msmtpd    msmtp-mta msmtp
initdb    postgresql postgresql-server
openssl   openssl   openssl
strip     binutils  binutils
setpriv   util-linux util-linux
perl      perl-base perl-interpreter
unshare   util-linux util-linux
systemctl systemd   systemd
rpmbuild  rpm       rpm-build
"

# Daemons that come with those packages. The lab starts them itself, in its own
# namespaces; on this machine they stay off, unless they were here before.
their_services="nginx haproxy redis-server msmtpd rsyslog postgresql"

# The gRPC server of the tests is a module of the system's Python.
has_grpcio() {
    [ -x /usr/bin/python3 ] && /usr/bin/python3 -c 'import grpc' 2>/dev/null
}

# The packages of the programs that are not here, each once: missing COLUMN.
missing() {
    local program debian rhel
    while read -r program debian rhel; do
        # RHEL has no mandoc; its groff reads the same pages.
        [ "$1 $program" != "rhel mandoc" ] || program=groff
        [ -z "$program" ] || has "$program" || echo "${!1}"
    done <<<"$lab_programs" | sort -u
}

install_debian() {
    local policy=/usr/sbin/policy-rc.d service had=" " said status
    for service in $their_services; do
        [ ! -e "/lib/systemd/system/$service.service" ] || had="$had$service "
    done
    # Asked by each package before it starts a service; 101 is "no".
    [ ! -e $policy ] || policy=
    [ -z "$policy" ] || printf '#!/bin/sh\nexit 101\n' | as_root install -m 755 /dev/stdin $policy ||
        fail "$policy cannot be written"
    said=$({
        as_root apt-get -qq update
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "$@"
    } 2>&1)
    status=$?
    [ $status = 0 ] || echo "$said" >&2
    [ -z "$policy" ] || as_root rm -f $policy
    for service in $their_services; do
        [ -e "/lib/systemd/system/$service.service" ] && [ "${had#* "$service" }" = "$had" ] || continue
        as_root systemctl --quiet disable "$service" 2>/dev/null || true
    done
    return $status
}

install_rhel() {
    local dnf=dnf repository
    has dnf || dnf=yum
    case " $* " in
    *" msmtp "* | *" python3-grpcio "*) as_root $dnf -q -y install epel-release >/dev/null 2>&1 || true ;;
    esac
    case " $* " in
    *" glibc-static "*)
        # In the repository for builders, which is off, and goes by several names.
        for repository in crb powertools "codeready-builder-for-*"; do
            ! as_root $dnf -q -y --enablerepo="$repository" install glibc-static >/dev/null 2>&1 || break
        done
        ;;
    esac
    as_root $dnf -q -y install "$@" >/dev/null
}

need_system() {
    local packages folder
    PATH=$PATH:/usr/sbin:/sbin
    # Debian has PostgreSQL's programs on nobody's path.
    for folder in /usr/lib/postgresql/*/bin; do
        PATH=$PATH:$folder
    done
    export PATH
    if has apt-get; then
        packages=$(missing debian)
        [ -e /usr/include/stdlib.h ] || packages="$packages libc6-dev"
        has_grpcio || packages="$packages python3-grpcio"
        if ! kernel_has_ipvs && ! has linux.uml; then packages="$packages user-mode-linux"; fi
        packages=$(echo $packages)
        if [ -n "$packages" ]; then
            need_root_for "$packages"
            echo "installing $packages"
            install_debian $packages || fail "apt-get install $packages failed"
        fi
    elif has dnf || has yum; then
        packages=$(missing rhel)
        [ -e /usr/lib64/libc.a ] || packages="$packages glibc-static"
        packages=$(echo $packages)
        if [ -n "$packages" ]; then
            need_root_for "$packages"
            echo "installing $packages"
            install_rhel $packages ||
                fail "installing $packages failed (msmtp is in EPEL, glibc-static in CodeReady Builder)"
        fi
        # In EPEL, but not of every release: the tests say what they leave out without it.
        if ! has_grpcio && { [ "$(id -u)" = 0 ] || has sudo; }; then
            install_rhel python3-grpcio 2>/dev/null || true
        fi
        # netem, with which the lab makes bad links, is among the extra modules.
        if ! kernel_has_ipvs || ! as_root modprobe -n -q sch_netem; then
            need_root_for "the modules of this kernel"
            as_root modprobe ip_vs 2>/dev/null && as_root modprobe -n -q sch_netem ||
                as_root "$(command -v dnf || command -v yum)" -q -y install "kernel-modules-$(uname -r)" \
                    "kernel-modules-extra-$(uname -r)" >/dev/null ||
                fail "this kernel has no IPVS: install kernel-modules and kernel-modules-extra for $(uname -r)," \
                    "or run on Debian with user-mode-linux"
        fi
    else
        packages=$(missing program)
        [ -z "$packages" ] || fail "please install the programs" $packages"; there is no apt-get and no dnf here to do it"
    fi
}

need_rust() {
    [ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
    if ! has cargo && { has dnf || has yum; }; then
        need_root_for rust
        echo "installing rust"
        as_root "$(command -v dnf || command -v yum)" -q -y install rust cargo clippy rustfmt >/dev/null || true
    fi
    has cargo || fail "cargo is missing: Rust $rust_needed or later is needed (https://rustup.rs; on RHEL the package rust-toolset)"
    local have
    have=$(rustc --version | cut -d' ' -f2)
    [ "$(printf '%s\n' "$rust_needed" "$have" | sort -V | head -n 1)" = "$rust_needed" ] ||
        fail "Rust $have is too old: $rust_needed or later is needed (https://rustup.rs; on RHEL the package rust-toolset)"
}
