#!/bin/bash
# The scripts of the packages really run: `rpm` and `dpkg` install, upgrade and
# remove on a copy of this machine that is thrown away (an overlay), in namespaces
# of its own, as its own root. What they call of the system, and every verb of the
# init script, is written to /tmp/calls and printed under the name of the step.
#
#   scriptlets.sh FOLDER (sysv|systemd) (rpm|deb)
#
# FOLDER has the packages below original, first and second, and gets the overlay.
# There is no network: what is started by mistake reaches nobody.
set -eu
folder=$1 init=$2 kind=$3

if [ -z "${INSIDE-}" ]; then
    mkdir "$folder/upper" "$folder/work" "$folder/tree"
    INSIDE=1 exec unshare --mount --pid --net --fork --kill-child "$0" "$@"
fi

if [ "$INSIDE" = 1 ]; then
    mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$folder/tree"
    cd "$folder/tree"
    for fresh in tmp run; do mount -t tmpfs "$fresh" $fresh; done
    mount -t proc proc proc
    mount --bind /dev dev
    mkdir tmp/packages
    mount --bind "$folder" tmp/packages
    cp "$0" tmp/scriptlets.sh
    INSIDE=2 exec chroot . /tmp/scriptlets.sh /tmp/packages "$init" "$kind"
fi

# The system, as far as the scripts ask it for anything.
record() {
    rm -f "$1"
    printf '#!/bin/sh\n[ "$1" = --quiet ] && shift\necho "%s $*" >>/tmp/calls\n%s\n' "${1##*/}" "${2-}" >"$1"
    chmod 755 "$1"
}
: >/tmp/calls
record /sbin/chkconfig
record /sbin/service '/etc/rc.d/init.d/$1 $2'
record /usr/bin/systemctl '[ "$1" != is-enabled ] || [ -e /tmp/enabled ]'
if [ "$init" = systemd ]; then mkdir -p /run/systemd/system; fi
mkdir -p /etc/sysconfig /run/lock/subsys
# Read by the init script: every verb is written down, and pulse is no pulse.
printf 'echo "pulse.init $1" >>/tmp/calls\npulse=/bin/true\n' >/etc/sysconfig/pulse

step() {
    echo "== $*"
    cat /tmp/calls
    : >/tmp/calls
}

# A process that is called so, and its pid file.
pulse_runs() {
    [ -e /tmp/pulse ] || cp /bin/sleep /tmp/pulse
    /tmp/pulse 600 &
    echo $! >/run/pulse.pid
    disown
}

rpm() {
    command rpm --dbpath /var/lib/rpm-of-the-test --nodeps "$@" 2> >(grep -v '^rpm: ' >&2)
}

if [ "$kind" = rpm ]; then
    rpm -i /tmp/packages/original/*.rpm
    mkdir -p /etc/rc.d/rc3.d /etc/rc.d/rc5.d
    ln -s ../init.d/pulse /etc/rc.d/rc3.d/S60pulse
    ln -s ../init.d/pulse /etc/rc.d/rc5.d/S60pulse
    : >/tmp/enabled
    pulse_runs
    step original
    rpm -U /tmp/packages/first/*.rpm
    step replaced
    [ ! -e /run/piranha-ng.was ]
    rm -f /tmp/enabled /etc/rc.d/rc?.d/S60pulse
    pulse_runs
    rpm -U /tmp/packages/second/*.rpm
    step upgraded
    rpm -e piranha-ng piranha-ng-realserver
    step removed
    kill "$(cat /run/pulse.pid)" 2>/dev/null || true
    rpm -i /tmp/packages/first/*.rpm
    step fresh
    # The file this script brought along is not the package's.
    [ "$(rpm -V piranha-ng piranha-ng-realserver | grep -v /etc/sysconfig/pulse)" = "" ]
    rpm -e piranha-ng piranha-ng-realserver
else
    dpkg() {
        command dpkg --force-depends --force-confold --force-unsafe-io --log=/tmp/log "$@" >/tmp/dpkg 2>&1 || { cat /tmp/dpkg; exit 1; }
    }
    dpkg -i /tmp/packages/first/*.deb
    step fresh
    pulse_runs
    dpkg -i /tmp/packages/second/*.deb
    step upgraded
    dpkg --remove piranha-ng piranha-ng-realserver
    step removed
    dpkg --purge piranha-ng piranha-ng-realserver
    step purged
    [ ! -e /etc/init.d/pulse ]
    [ ! -e /etc/sysconfig/ha ]
fi
[ ! -e /usr/sbin/pulse ] && [ ! -e /usr/sbin/realserver ]
