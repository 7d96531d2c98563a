#!/bin/busybox sh
# The guest's first process: from the first root file system to the host's files, which stay as they are, since
# a tmpfs over them takes what is written. Ends in inside.sh; a failure ends the machine (a panic, by the kernel).
set -eu
/bin/busybox --install -s /bin
export PATH=/bin

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module; do
    insmod "$module"
done </modules/order

mount -t tmpfs -o size=75% layers /layers
mkdir /layers/host /layers/upper /layers/work
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose host /layers/host
mount -t overlay -o lowerdir=/layers/host,upperdir=/layers/upper,workdir=/layers/work overlay /new

for each in dev proc sys; do
    mount --move "/$each" "/new/$each"
done
mount -t tmpfs run /new/run
mkdir /new/run/guest
cp /inside.sh /command.sh /checkout /new/run/guest/
exec switch_root /new /bin/sh /run/guest/inside.sh
