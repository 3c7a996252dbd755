//! Runs the shop's player for each sound, one after the other, and kills one that does not end.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::{Settings, Sound};

/// A box that reads the same phone again and again is refused again and again: one complaint in this time is enough.
const COMPLAIN_EVERY: Duration = Duration::from_secs(3);

/// What a player needs of our environment; it has no business with the rest of it.
const KEPT: [&str; 4] = ["PATH", "HOME", "LANG", "XDG_RUNTIME_DIR"];

/// The thread's own things.
pub struct Player {
    settings: Settings,
    complained: Option<Instant>,
    trouble: String,
}

impl Player {
    pub fn new(settings: Settings) -> Self {
        Self { settings, complained: None, trouble: String::new() }
    }

    /// Plays until whoever sends is gone.
    pub fn run(mut self, waiting: &Receiver<Sound>) {
        while let Ok(sound) = waiting.recv() {
            if sound == Sound::Refused {
                if self.complained.is_some_and(|last| last.elapsed() < COMPLAIN_EVERY) {
                    continue;
                }
                self.complained = Some(Instant::now());
            }
            let trouble =
                play(&self.settings, sound).map_or_else(|error| error.to_string(), |()| String::new());
            // The same trouble with each sound is said once.
            if trouble != self.trouble && !trouble.is_empty() {
                tracing::warn!("sound {}: {trouble}", sound.name());
            }
            self.trouble = trouble;
        }
    }
}

/// Plays one sound and waits for its end.
///
/// # Errors
/// The player cannot be started, says that it failed, or did not end and was killed.
pub fn play(settings: &Settings, sound: Sound) -> io::Result<()> {
    let Some((program, arguments)) = settings.command.split_first() else { return Ok(()) };
    let filled = |text: &String| text.replace("{sound}", sound.name()).replace("{words}", &sound.words());
    let mut command = Command::new(program);
    command.args(arguments.iter().map(filled)).env_clear();
    for name in KEPT {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    // A group of its own, so that what a script starts ends with it.
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("{program} cannot be started: {error}")))?;
    if let Some(mut input) = child.stdin.take() {
        // All of it fits into the pipe. A player that wants no tone closes it; that is no failure.
        let _ = input.write_all(&sound.wav());
    }
    let status = end(&mut child, settings.within)?;
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(io::Error::other(format!("{program} failed: {status}"))),
        None => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("{program} did not end within {:?} and was killed", settings.within),
        )),
    }
}

/// Waits for the child's end, at most for `within`; `None` if it had to be killed.
fn end(child: &mut Child, within: Duration) -> io::Result<Option<ExitStatus>> {
    let pid = Pid::from_child(child);
    let until = Instant::now() + within;
    // Not reaped before `wait` below: the process id stays its own until then.
    let ended = pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from).and_then(|handle| {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let wait = Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?;
            let mut fds = [PollFd::new(&handle, PollFlags::IN)];
            match poll(&mut fds, Some(&wait)) {
                Ok(ready) => return Ok(ready > 0),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    });
    if !matches!(ended, Ok(true)) {
        // It may have ended this moment; then there is nothing to kill.
        let _ = kill_process_group(pid, Signal::KILL);
    }
    let status = child.wait()?;
    Ok(ended?.then_some(status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sounds::Sounds;

    fn shell(script: &str, within: Duration) -> Settings {
        // `$1` and `$2` are the sound and its words.
        let command = ["sh", "-c", script, "sh", "{sound}", "{words}"].map(str::to_owned).to_vec();
        Settings { command, within }
    }

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn the_player_gets_a_tone_a_name_and_words() {
        let dir = tempfile::tempdir().unwrap();
        let (tone, said) = (dir.path().join("tone"), dir.path().join("said"));
        let script = format!("cat > {}; printf '%s %s' \"$1\" \"$2\" > {}", tone.display(), said.display());
        let sound = Sound::Paid("12.50".parse().unwrap());
        play(&shell(&script, LONG), sound).unwrap();
        assert_eq!(std::fs::read(tone).unwrap(), sound.wav());
        assert_eq!(std::fs::read_to_string(said).unwrap(), "paid 收款十二点五元");
    }

    #[test]
    fn a_player_that_hangs_is_killed_with_what_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let (pids, begun) = (dir.path().join("pids"), Instant::now());
        let script = format!("sleep 600 & echo $! > {0}; wait", pids.display());
        let error = play(&shell(&script, Duration::from_millis(300)), Sound::NotPaid).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() < Duration::from_secs(20));
        // Its signal is on the way; it dies when the kernel gives it its next turn.
        let stat = format!("/proc/{}/stat", std::fs::read_to_string(pids).unwrap().trim());
        let lives = || std::fs::read_to_string(&stat).is_ok_and(|state| !state.contains(") Z "));
        while lives() {
            assert!(begun.elapsed() < Duration::from_secs(20));
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_player_that_is_absent_or_fails_says_so() {
        let absent = Settings { command: vec!["/nonexistent/player".to_owned()], within: LONG };
        let error = play(&absent, Sound::Scanned).unwrap_err();
        assert!(error.to_string().starts_with("/nonexistent/player cannot be started: "), "{error}");
        let error = play(&shell("exit 3", LONG), Sound::Scanned).unwrap_err();
        assert!(error.to_string().contains("exit status: 3"), "{error}");
        // One that does not want the tone.
        play(&shell("exec <&-; exit 0", LONG), Sound::CallManager).unwrap();
        assert_eq!(play(&Settings::default(), Sound::Scanned).map_err(|error| error.to_string()), Ok(()));
    }

    #[test]
    fn nobody_waits_for_a_player() {
        let sounds = Sounds::start(shell("sleep 600", Duration::from_millis(200))).unwrap();
        let begun = Instant::now();
        for _ in 0..1000 {
            sounds.play(Sound::Scanned);
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }

    #[test]
    fn the_environment_of_the_daemon_is_not_the_players() {
        let dir = tempfile::tempdir().unwrap();
        let seen = dir.path().join("seen");
        play(&shell(&format!("env > {}", seen.display()), LONG), Sound::Scanned).unwrap();
        let seen = std::fs::read_to_string(seen).unwrap();
        assert!(seen.contains("PATH=") && !seen.contains("CARGO"), "{seen}");
    }
}
