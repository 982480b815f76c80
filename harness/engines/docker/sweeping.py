"""Shell words that end the processes which the player leaves in a run-container."""

SWEEPER = """
while kill -9 -1; do
    for process in /proc/[0-9]*; do
        [ ! -O "$process" ] || [ "$process" = "/proc/$$" ] || continue 2
    done
    exit 0
done"""
"""Run as the player: kills its other processes, and returns when all of them have ended."""

SWEPT = """
left=
for process in /proc/[0-9]*; do
    state= owner=0
    while read -r key value rest; do
        case $key in
        State:) state=$value ;;
        Uid:) owner=$value ;;
        Threads:) break ;;
        esac
    done <"$process/status"
    [ -n "$state" ] || [ -e "$process" ] || left=yes # it may have left another behind
    [ "$owner" = 0 ] && continue
    case $state$value in
    [ZX][01]) ;; # it has ended, and waits to be reaped
    *) kill -9 "${process#/proc/}"; left=yes ;;
    esac
done 2>/dev/null
[ -z "$left" ]"""
"""Run by the guest's own shell, without a process that a run could stop.

It kills each process of another user, and fails if there was one. It reads `Uid`, not the owner of
the files in /proc, which `PR_SET_DUMPABLE` changes. A process whose first thread has ended is a
zombie by its `State`; only `Threads` tells that other threads still run.
"""
