#!/usr/bin/env bash
# Makes a Debian package of what 'make build' has built: packaging/deb/build.sh FOLDER prints the path of the package.
set -euo pipefail
cd "$(dirname "$0")/../.."

folder=$1
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
architecture=$(dpkg --print-architecture)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
# Folders of a package are read by everybody, whatever the umask.
umask 022
chmod 755 "$root"

make --no-print-directory install DESTDIR="$root" PREFIX=/usr >/dev/null
install -D -m 644 packaging/udev/64-vexfs.rules "$root/usr/lib/udev/rules.d/64-vexfs.rules"
install -D -m 755 packaging/initramfs/vexfs "$root/usr/share/initramfs-tools/hooks/vexfs"
install -D -m 644 packaging/magic "$root/usr/share/vexfs-tools/magic"
doc=$root/usr/share/doc/vexfs-tools
install -D -m 644 README.md "$doc/README.md"
cp -r docs/format "$doc/format"
install -m 644 packaging/deb/copyright "$doc/copyright"
gzip -9n <CHANGELOG.md >"$doc/changelog.gz"
gzip -9nr "$root/usr/share/man"

# The packages that the programs' libraries come from, and the C library that they were linked against.
libraries=$(ldd "$root"/usr/sbin/* "$root"/usr/bin/* | sed -n 's/.* => \(\/[^ ]*\).*/\1/p' | sort -u)
depends=
for library in $libraries; do
    # /lib may be a link to /usr/lib, and the package lists either.
    path=$(readlink -f "$library")
    package=$({ dpkg-query -S "$path" "${path#/usr}" 2>/dev/null || true; } | head -n 1 | cut -d : -f 1)
    case " $depends " in *" $package,"*) continue ;; esac
    [ "$package" = libc6 ] || depends="$depends $package,"
done
libc=$(dpkg-query -W -f '${Version}' libc6)
mkdir "$root/DEBIAN"
cat >"$root/DEBIAN/control" <<CONTROL
Package: vexfs-tools
Version: $version
Architecture: $architecture
Maintainer: The VexFS developers <vexfs@localhost>
Section: admin
Priority: optional
Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f 1)
Depends: libc6 (>= ${libc%%-*}),${depends%,}
Description: filesystem that stores vectors and searches them
 Tools that format, fill, search, check and repair VexFS filesystems directly on
 block devices and image files: mkfs.vexfs, fsck.vexfs, vexfs-import,
 vexfs-query, vexfs-dump, vexfs-tune and vexfs-bench.
CONTROL
printf 'activate-noawait update-initramfs\n' >"$root/DEBIAN/triggers"
mkdir -p "$folder"
package=$folder/vexfs-tools_${version}_$architecture.deb
dpkg-deb --root-owner-group --build "$root" "$package" >&2
echo "$package"
