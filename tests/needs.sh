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
openssl   openssl   openssl
strip     binutils  binutils
setpriv   util-linux util-linux
unshare   util-linux util-linux
systemctl systemd   systemd
rpmbuild  rpm       rpm-build
"

need_system() {
    local program debian rhel missing=()
    PATH=$PATH:/usr/sbin:/sbin
    export PATH
    if has apt-get; then
        while read -r program debian rhel; do
            [ -z "$program" ] || has "$program" || missing+=("$debian")
        done <<<"$lab_programs"
        [ -e /usr/include/stdlib.h ] || missing+=(libc6-dev)
        if ! kernel_has_ipvs && ! has linux.uml; then missing+=(user-mode-linux); fi
        if [ ${#missing[@]} -gt 0 ]; then
            echo "installing ${missing[*]}"
            as_root apt-get -qq update || fail "apt-get update failed"
            as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "${missing[@]}" \
                >/dev/null || fail "apt-get install ${missing[*]} failed"
        fi
    elif has dnf || has yum; then
        local dnf=dnf
        has dnf || dnf=yum
        while read -r program debian rhel; do
            [ -z "$program" ] || has "$program" || missing+=("$rhel")
        done <<<"$lab_programs"
        [ -e /usr/lib64/libc.a ] || missing+=(glibc-static)
        if [ ${#missing[@]} -gt 0 ]; then
            echo "installing ${missing[*]}"
            # msmtpd is in EPEL
            has msmtpd || as_root $dnf -q -y install epel-release >/dev/null 2>&1 || true
            # glibc-static is in the repository for builders
            as_root $dnf -q -y --setopt=crb.enabled=1 install "${missing[@]}" >/dev/null ||
                fail "$dnf install ${missing[*]} failed"
        fi
        kernel_has_ipvs || as_root modprobe ip_vs || as_root $dnf -q -y install "kernel-modules-$(uname -r)" >/dev/null ||
            fail "this kernel has no IPVS: install kernel-modules for $(uname -r), or run on Debian with user-mode-linux"
    else
        while read -r program debian rhel; do
            [ -z "$program" ] || has "$program" || missing+=("$program")
        done <<<"$lab_programs"
        [ ${#missing[@]} -eq 0 ] || fail "please install the programs ${missing[*]}: no apt-get and no dnf here to do it"
    fi
}

need_rust() {
    [ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
    if ! has cargo && { has dnf || has yum; }; then
        echo "installing rust"
        as_root "$(command -v dnf || command -v yum)" -q -y install rust cargo clippy rustfmt >/dev/null || true
    fi
    has cargo || fail "cargo is missing: Rust $rust_needed or later is needed (https://rustup.rs; on RHEL the package rust-toolset)"
    local have
    have=$(rustc --version | cut -d' ' -f2)
    [ "$(printf '%s\n' "$rust_needed" "$have" | sort -V | head -n 1)" = "$rust_needed" ] ||
        fail "Rust $have is too old: $rust_needed or later is needed (https://rustup.rs; on RHEL the package rust-toolset)"
}
