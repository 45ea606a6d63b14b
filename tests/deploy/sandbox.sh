# Runs the program as the image does: as the user 10001, on a read-only root, with one directory to write into.
# $1 is that directory, $2 where Python lies, $3 the project; the rest is the command. The mounts are this process's own.
# It ends with the tests, however they do: the system forgets that it is to when it becomes another user.
set -eu
data=$1 python=$2 project=$3
shift 3
mount --bind "$data" "$data"
mount -t tmpfs -o mode=755 none /mnt
mkdir /mnt/python /mnt/project
mount --bind "$python" /mnt/python
mount --bind "$project" /mnt/project
for tree in "$python" "$project"; do
    while [ "$tree" != / ]; do
        # Where nobody else may pass, as in a home, lay an open directory over it that leads to these two alone.
        if [ -d "$tree" ] && [ "$(($(stat -c 0%a "$tree") & 1))" = 0 ]; then
            mount -t tmpfs -o mode=755 none "$tree"
        fi
        tree=$(dirname "$tree")
    done
done
mkdir -p "$python" "$project"
mount --bind /mnt/python "$python"
mount --bind /mnt/project "$project"
umount -l /mnt
mount -t tmpfs -o mode=1777 none /tmp
mount -o remount,bind,ro /
exec setpriv --pdeathsig KILL --reuid 10001 --regid 10001 --clear-groups --bounding-set=-all --no-new-privs "$@"
