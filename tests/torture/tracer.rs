//! Starts the daemon under ptrace, counts the system calls of all its threads that can be seen from outside, and kills it
//! at the entry of a chosen one, before the kernel carries it out.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};

use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// How a traced life ended.
pub struct Life {
    /// Calls with an effect that were begun.
    pub calls: u64,
    /// The number of the call at which it was killed; `None` if it came to its own end.
    pub killed_at: Option<i64>,
}

/// Calls that nobody outside of the process can see, and `close`: death closes everything anyway. A kill anywhere
/// between two calls with an effect leaves the same world, so these need no kill of their own.
const UNSEEN: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_pread64,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_create1,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_futex,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_stat,
    libc::SYS_fstat,
    libc::SYS_lstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_lseek,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_pipe2,
    libc::SYS_eventfd2,
    libc::SYS_access,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlink,
    libc::SYS_readlinkat,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_getrandom,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_prctl,
    libc::SYS_arch_prctl,
    libc::SYS_set_tid_address,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_prlimit64,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_restart_syscall,
];

/// Starts the daemon, traced by the thread that calls this; it stands before its first instruction and must be told to go
/// on.
pub fn start(program: &Path, configuration: &Path, log: File) -> (Child, Pid) {
    let mut command = Command::new(program);
    command
        .args(["run", "--config"])
        .arg(configuration)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    // SAFETY: between fork and exec only one system call is made; nothing is allocated and no lock is taken.
    unsafe {
        command.pre_exec(|| ptrace::traceme().map_err(Into::into));
    }
    let child = command.spawn().expect("the daemon starts");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    let stopped = waitpid(pid, None).expect("it stops at its exec");
    assert!(matches!(stopped, WaitStatus::Stopped(_, Signal::SIGTRAP)), "{stopped:?}");
    (child, pid)
}

/// Runs `program` until it ends or begins its `at`-th call with an effect. `pid` is set as soon as there is one. Only
/// the thread that calls this may wait for the process.
pub fn live(program: &Path, configuration: &Path, log: File, at: u64, pid: &AtomicI32) -> Life {
    let (_, main) = start(program, configuration, log);
    let mut life = Life { calls: 0, killed_at: None };
    let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_EXITKILL;
    ptrace::setoptions(main, options).expect("options");
    ptrace::syscall(main, None).expect("it goes on");
    pid.store(main.as_raw(), Ordering::Release);
    let mut inside = std::collections::HashSet::new();
    // A thread that was just killed cannot be told to go on: it says so when it is waited for.
    let go_on = |tid, signal| {
        let _ = ptrace::syscall(tid, signal);
    };
    loop {
        // Only what belongs to this thread: other shops have children of their own.
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        match waitpid(Pid::from_raw(-1), Some(flags)) {
            Ok(WaitStatus::PtraceSyscall(tid)) => {
                if !inside.remove(&tid) {
                    inside.insert(tid);
                    if let Ok(regs) = ptrace::getregs(tid)
                        && has_effect(&regs)
                        && life.killed_at.is_none()
                    {
                        life.calls += 1;
                        if life.calls == at {
                            life.killed_at = i64::try_from(regs.orig_rax).ok();
                            kill(main, Signal::SIGKILL).expect("it is ours");
                        }
                    }
                }
                go_on(tid, None);
            }
            Ok(WaitStatus::PtraceEvent(tid, ..) | WaitStatus::Stopped(tid, Signal::SIGSTOP)) => {
                go_on(tid, None)
            }
            Ok(WaitStatus::Stopped(tid, signal)) => go_on(tid, Some(signal)),
            Ok(WaitStatus::Exited(tid, _) | WaitStatus::Signaled(tid, ..)) if tid == main => break,
            Ok(_) => {}
            Err(nix::errno::Errno::ECHILD) => break,
            Err(error) => panic!("waiting for the daemon: {error}"),
        }
    }
    pid.store(-1, Ordering::Release);
    life
}

fn has_effect(regs: &libc::user_regs_struct) -> bool {
    let number = regs.orig_rax as libc::c_long;
    let writes =
        |flags: u64| flags & (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC) as u64 != 0;
    match number {
        libc::SYS_openat => writes(regs.rdx),
        libc::SYS_open => writes(regs.rsi),
        // Locks are seen from outside, flags are not.
        libc::SYS_fcntl => matches!(regs.rsi as i32, libc::F_SETLK | libc::F_SETLKW),
        other => !UNSEEN.contains(&other),
    }
}
