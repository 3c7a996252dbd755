//! Reads keys from files that nobody else may read. Never says what is in them.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::Zeroizing;

/// The largest key file; PEM and PKCS#12 have a few KiB.
const FILE_MAX: u64 = 64 * 1024;

/// What is wrong with a file, and what to do.
pub struct Trouble {
    /// A fragment that follows the setting's name.
    pub what: String,
    /// In the imperative.
    pub help: String,
}

/// Who may read a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Only its owner.
    Owner,
    /// Anybody: certificates, and what systemd itself guards.
    Anybody,
}

/// The whole file.
pub fn read(path: &Path, guard: Guard) -> Result<Zeroizing<Vec<u8>>, Trouble> {
    let shown = path.display();
    let failed = |error: std::io::Error| {
        let help = match error.kind() {
            std::io::ErrorKind::NotFound => format!("put the file at {shown}, or name the right one"),
            std::io::ErrorKind::PermissionDenied => {
                format!("run this with sudo; if it is the service that says so: chown micropayd {shown}")
            }
            _ => "name a readable file".to_owned(),
        };
        Trouble { what: format!("{shown} cannot be read: {error}"), help }
    };
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(Trouble { what: format!("{shown} is not a file"), help: "name a file".to_owned() });
    }
    let mode = about.permissions().mode() & 0o777;
    if guard == Guard::Owner && mode & 0o077 != 0 {
        return Err(Trouble {
            what: format!("{shown} can be read by others (mode {mode:04o}), expected mode 0400 or 0600"),
            help: format!("run: chmod 0400 {shown}"),
        });
    }
    if about.len() > FILE_MAX {
        return Err(Trouble {
            what: format!("{shown} has {} bytes, expected at most {FILE_MAX}", about.len()),
            help: "name the key's file, not another one".to_owned(),
        });
    }
    // Sized beforehand, so that no half-filled buffer with a key in it is left behind by a growing vector.
    let mut bytes = Zeroizing::new(vec![0; usize::try_from(about.len()).unwrap_or(0)]);
    file.read_exact(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
