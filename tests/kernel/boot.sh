#!/bin/bash
# Boots a kernel in qemu (software emulation) with a few programs, their libraries and a script inside; prints what the
# script prints. usage: boot.sh KERNEL SECONDS SCRIPT FILE…     The files are in /box; the script runs there as root.
set -eu
kernel=$1 seconds=$2 script=$3
shift 3
root=$(mktemp -d)
trap 'rm -rf "$root" "$root.gz"' EXIT
mkdir -p "$root"/{bin,proc,sys,dev,tmp,box,etc,lib64,root}
cp /bin/busybox "$root/bin/"
for file in "$@"; do
	cp "$file" "$root/box/"
	# The loader and the libraries, at their own paths.
	for library in $(ldd "$file" 2>/dev/null | grep -oE '/[^ ]+\.so[^ ]*'); do
		mkdir -p "$root$(dirname "$library")"
		cp -nL "$library" "$root$library"
	done
done
cp "$script" "$root/box/script"
cp "$(dirname "$0")/lib.sh" "$root/box/"
printf 'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' >"$root/etc/passwd"
cat >"$root/init" <<'I'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
cd /box
echo
echo @@begin
sh ./script </dev/null 2>&1
echo "@@status $?"
poweroff -f
I
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc 2>/dev/null | gzip -1) >"$root.gz"
timeout "$seconds" qemu-system-x86_64 -m 2G -smp 2 -nographic -no-reboot -kernel "$kernel" -initrd "$root.gz" \
	-append 'console=ttyS0 quiet panic=-1' </dev/null 2>&1 | tr -d '\r' | sed '1,/^@@begin/d'
