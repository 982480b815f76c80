"""The system calls that a run may make: one table for all engines.

It is Docker's default profile for a container without extra capabilities (moby,
profiles/seccomp/default.json), less four things:

- io_uring, which Docker has refused since version 25, and 20.10 allows;
- sockets of all families but AF_UNIX, AF_INET and AF_INET6. No control group counts the memory of
  AF_NETLINK, which also tells a run of the host's devices; AF_VSOCK passes network namespaces;
- socketcall, the 32-bit way to sockets, because no filter can see its arguments;
- io_setup and its family, because all users of a machine share /proc/sys/fs/aio-max-nr. Databases
  work without it if it is not implemented.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Literal


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ALLOWED = _names("""
accept accept4 access adjtimex alarm arch_prctl arm_fadvise64_64 arm_sync_file_range bind breakpoint
brk cacheflush cachestat capget capset chdir chmod chown chown32 clock_adjtime clock_adjtime64
clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep
clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create
epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd
eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate
fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync
fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64
fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake
futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid getegid32
geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid
getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid
getsockname getsockopt gettid gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch
inotify_init inotify_init1 inotify_rm_watch ioctl ioprio_get ioprio_set ipc kill landlock_add_rule
landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat listen
listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 madvise
map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock
mlock2 mlockall mmap mmap2 modify_ldt mprotect mq_getsetattr mq_notify mq_open mq_timedreceive
mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv
msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open openat
openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll
ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease process_vm_readv
process_vm_writev pselect6 pselect6_time64 ptrace pwrite64 pwritev pwritev2 read readahead readlink
readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr
removexattrat rename renameat renameat2 restart_syscall riscv_flush_icache riscv_hwprobe rmdir rseq
rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min
sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler
sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64
sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address set_tls setfsgid setfsgid32
setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid
setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid
setsockopt setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signal
signalfd signalfd4 sigprocmask sigreturn splice stat stat64 statfs statfs64 statx symlink
symlinkat sync sync_file_range sync_file_range2 syncfs sysinfo tee tgkill time timer_create
timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64
timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill
truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat
utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev
""")
"""Allowed with any arguments. ptrace is safe since Linux 4.8: the filter also sees calls that a
tracer has changed.
"""

REFUSED = _names("""
acct add_key bpf chroot clock_settime clock_settime64 create_module delete_module fanotify_init
finit_module fsconfig fsmount fsopen fspick get_kernel_syms get_mempolicy init_module io_uring_enter
io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie
mbind migrate_pages mount mount_setattr move_mount move_pages nfsservctl open_by_handle_at open_tree
perf_event_open pidfd_getfd pivot_root process_madvise query_module quotactl quotactl_fd reboot
request_key set_mempolicy set_mempolicy_home_node setdomainname sethostname setns settimeofday stime
swapoff swapon _sysctl sysfs syslog umount umount2 unshare uselib userfaultfd ustat vhangup vm86
vm86old
""")
"""These calls fail with EPERM. Calls in neither list fail with ENOSYS: a program does without a
call that is newer than this table, but would take EPERM for a failure.
"""

NAMESPACES = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
"""The flags of clone(2) that create a namespace: mount, cgroup, uts, ipc, user, pid, net."""

PERSONALITIES = (0, 8, 0x20000, 0x20008, 0xFFFFFFFF)
"""PER_LINUX, PER_LINUX32, either with UNAME26, and the query for the current one
(personality(2)).
"""

FAMILIES = (1, 2, 10)
"""The families of sockets that a run may use: AF_UNIX, AF_INET and AF_INET6. Each is compared with
the whole argument, of which the kernel reads 32 bits.
"""

_Comparison = Literal["equal", "above", "masked"]


@dataclass(frozen=True)
class When:
    """A condition on the first argument of a call."""

    comparison: _Comparison
    """`equal` and `above` compare it with `value`; `masked` compares its bits in `mask`."""

    value: int
    """What it is compared with."""

    mask: int = 0
    """The bits that `masked` compares. 0 for the other comparisons."""


@dataclass(frozen=True)
class Rule:
    """What the filter does with some calls."""

    names: tuple[str, ...]
    """The calls."""

    error: int = 0
    """The errno that they fail with. 0: they are allowed."""

    when: When | None = None
    """The condition for the rule. None: always."""


_SOCKETS = ("socket", "socketpair")

DEFAULT = errno.ENOSYS
"""The errno of calls that no rule names."""

RULES = (
    Rule(ALLOWED),
    Rule(REFUSED, errno.EPERM),
    # An errno that is no engine's default, because engines leave out a rule that equals their
    # default. Without the rule, libseccomp lets socketcall through for each call that is allowed
    # otherwise, and ignores the condition.
    Rule(("socketcall",), errno.EAFNOSUPPORT),
    # A filter cannot see its flags, which are in memory. C libraries then fall back to clone.
    Rule(("clone3",), errno.ENOSYS),
    Rule(("clone",), when=When("masked", 0, sum(NAMESPACES))),
    *(Rule(("clone",), errno.EPERM, When("masked", flag, flag)) for flag in NAMESPACES),
    *(Rule(("personality",), when=When("equal", persona)) for persona in PERSONALITIES),
    *(Rule(_SOCKETS, when=When("equal", family)) for family in FAMILIES),
    # Programs take it for a kernel without the family, and do without: getaddrinfo(3) does.
    *(
        Rule(_SOCKETS, errno.EAFNOSUPPORT, When("equal", family))
        for family in range(max(FAMILIES))
        if family not in FAMILIES
    ),
    Rule(_SOCKETS, errno.EAFNOSUPPORT, When("above", max(FAMILIES))),
)

SECOND_ABI = {"x86_64": "x86", "aarch64": "arm"}
"""For each machine, the 32-bit ABI that its kernel also runs. Its programs may make the same calls;
those of any other ABI, such as x32, are killed.
"""
