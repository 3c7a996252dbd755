//! The display's own thread: writes the newest scene, notices that the display is gone, and takes it up again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::port::Port;
use super::{Scene, Settings, Slot, bytes};
use crate::input::{Device, DeviceKind, Inbox, Input};

/// A scene is at most 49 bytes, a quarter of a second at 2400 baud; a port that takes none for so long is broken.
const STALL: Duration = Duration::from_secs(2);

/// The thread's own things.
pub struct Worker {
    settings: Settings,
    inbox: Inbox,
    slot: Arc<Slot>,
    port: Option<Port>,
    path: PathBuf,
    reported: Option<(bool, String)>,
}

impl Worker {
    /// Prepares; opens nothing yet.
    pub fn new(settings: Settings, inbox: Inbox, slot: Arc<Slot>) -> Self {
        let path = settings.path.clone().unwrap_or_default();
        Self { settings, inbox, slot, port: None, path, reported: None }
    }

    /// Works until the display is dropped.
    pub fn run(mut self) {
        let mut seen = 0;
        let mut scene = Scene::Empty;
        let mut next = None;
        loop {
            // At the end nothing is opened any more: by then the name may be another's.
            if self.port.is_none() && !self.ends() {
                self.open();
                self.put(scene);
            }
            let look = if self.port.is_some() { self.settings.watch } else { self.settings.absent };
            let until = next.map_or(look, |(at, _): (Instant, Scene)| {
                at.saturating_duration_since(Instant::now()).min(look)
            });
            let (stop, wanted) = self.wait(seen, until);
            if let Some((serial, newer)) = wanted {
                (seen, scene) = (serial, newer);
            } else if let Some((_, after)) = next.filter(|(at, _)| *at <= Instant::now()) {
                scene = after;
            } else if stop {
                // Nobody is left who could clear it.
                self.put(Scene::Empty);
                return;
            } else {
                self.look();
                continue;
            }
            next = self.settings.next(scene).map(|(after, then)| (Instant::now() + after, then));
            self.put(scene);
        }
    }

    fn ends(&self) -> bool {
        self.slot.wanted.lock().unwrap_or_else(PoisonError::into_inner).stop
    }

    /// Waits for a scene that was not seen yet, or for `span`.
    fn wait(&self, seen: u64, span: Duration) -> (bool, Option<(u64, Scene)>) {
        let wanted = self.slot.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let (wanted, _) = self
            .slot
            .changed
            .wait_timeout_while(wanted, span, |wanted| wanted.serial == seen && !wanted.stop)
            .unwrap_or_else(PoisonError::into_inner);
        let newer = (wanted.serial != seen).then_some((wanted.serial, wanted.scene));
        (wanted.stop, newer)
    }

    fn open(&mut self) {
        match Port::open(&self.path, self.settings.speed()) {
            Ok(port) => {
                self.port = Some(port);
                self.write(&bytes::initialise());
                if self.port.is_some() {
                    self.report(true, String::new());
                }
            }
            Err(error) => self.report(false, sentence(&self.path, &error)),
        }
    }

    fn put(&mut self, scene: Scene) {
        self.write(&bytes::scene(self.settings.kind, self.settings.language(), scene));
    }

    /// Writes all of it, or lets the port go.
    fn write(&mut self, bytes: &[u8]) {
        let Some(port) = &self.port else { return };
        if let Err(error) = port.write(bytes, STALL) {
            self.lost(&error);
        }
    }

    /// Whether the display was unplugged: a port that is gone says so without being written to.
    fn look(&mut self) {
        if self.port.as_ref().is_some_and(Port::is_gone) {
            self.lost(&io::ErrorKind::NotFound.into());
        }
    }

    /// The port is of no use any more. It is closed at once: the display would come back under another name else.
    fn lost(&mut self, error: &io::Error) {
        if let Some(port) = self.port.take() {
            port.give_up();
        }
        self.report(false, sentence(&self.path, error));
    }

    fn report(&mut self, ready: bool, trouble: String) {
        let state = Some((ready, trouble.clone()));
        if self.reported == state {
            return;
        }
        self.reported = state;
        let device =
            Device { kind: DeviceKind::Display, name: self.path.display().to_string(), ready, trouble };
        // Without a loop there is nobody to tell.
        let _ = self.inbox.blocking_send(Input::Device(device));
    }
}

fn sentence(path: &Path, error: &io::Error) -> String {
    let name = path.display();
    match (Errno::from_io_error(error), error.kind()) {
        (Some(Errno::IO | Errno::NODEV | Errno::NXIO), _) | (_, io::ErrorKind::NotFound) => {
            format!("客显 {name} 未连接，请检查连线 display is not there: check its cable")
        }
        (_, io::ErrorKind::PermissionDenied) => {
            format!("没有权限使用客显 {name} no permission for the display: install the udev rules")
        }
        (_, io::ErrorKind::WouldBlock | io::ErrorKind::ResourceBusy) => {
            format!("客显 {name} 被其他程序占用 display is in use by another program")
        }
        (Some(Errno::NOTTY), _) => {
            format!("客显 {name} 设置有误 display is not on a serial port: correct its path")
        }
        (_, io::ErrorKind::TimedOut) => {
            format!("客显 {name} 没有反应，请检查连线 display takes no data: check its cable")
        }
        _ => format!("客显 {name} 故障 display failed: {error}"),
    }
}
