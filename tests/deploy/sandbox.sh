# Runs the program as the image does: as the user 10001, on a read-only root, with one directory to write into.
# $1 is that directory, $2 where Python lies, the rest is the command. The mounts are this process's own.
set -eu
data=$1 python=$2
shift 2
mount --bind "$data" "$data"
closed=$python
while [ "$closed" != / ]; do
    if [ "$(($(stat -c 0%a "$closed") & 1))" = 0 ]; then
        # Nobody else may pass here: lay an open directory over it that leads to Python alone.
        mount --bind "$python" "$data"
        mount -t tmpfs -o mode=755 none "$closed"
        mkdir -p "$python"
        mount --move "$data" "$python"
    fi
    closed=$(dirname "$closed")
done
mount -t tmpfs -o mode=1777 none /tmp
mount -o remount,bind,ro /
exec setpriv --reuid 10001 --regid 10001 --clear-groups --bounding-set=-all --no-new-privs "$@"
