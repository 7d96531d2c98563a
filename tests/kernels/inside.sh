#!/bin/sh
# The guest's first process, continued in the host's files: runs the command, and says on the second serial port
# which kernel ran it and how it ended.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mkdir -p /dev/shm /dev/pts /run/netns
mount -t tmpfs shm /dev/shm
mount -t devpts devpts /dev/pts
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracefs /sys/kernel/tracing
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
echo 1 >/proc/sys/kernel/panic_on_warn

# The checkout may be edited meanwhile: a touched file is copied to the upper layer, and stays as it is now.
cd "$(cat /run/guest/checkout)" || exit
find . \( -name .venv -o -name .git \) -prune -o -type f -exec touch -a {} +

echo "guest: $(uname -r), $(nproc) processors, up after $(cut -d ' ' -f 1 /proc/uptime) s"
sh /run/guest/command.sh
echo "$(uname -r) $?" >/dev/ttyS1
echo b >/proc/sysrq-trigger
sleep 60
