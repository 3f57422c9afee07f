#!/bin/sh
# The packages of two releases around the programs in BUILT: packages.sh FOLDER makes
# FOLDER/first and FOLDER/second, with rpm and (where there is dpkg-deb) deb in each.
set -eu
folder=$1
cd "$(dirname "$0")/../.."
rm -rf "$folder"
mkdir -p "$folder"
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
source=$folder/piranha-ng-$version.tar.gz
init/source --no-vendor >"$source"
for release in first second; do
    mkdir -p "$folder/$release/rpm"
    rpmbuild --quiet --nodeps --define "_topdir $folder/top" --define "_binary_payload w1.gzdio" \
        --define "built $BUILT" --define "dist .$release" -tb "$source" >"$folder/said" 2>&1 || {
        cat "$folder/said"
        exit 1
    }
    mv "$folder"/top/RPMS/*/piranha-ng-[0-9]*.rpm "$folder/$release/rpm"
    rm -rf "$folder/top"
    if command -v dpkg-deb >/dev/null; then
        REVISION=+$release init/debian/build "$folder/$release/deb" >/dev/null
        rm "$folder/$release"/deb/piranha-ng-realserver*
    fi
done
