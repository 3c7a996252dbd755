//! SQLite's own file layer with an ear and a hammer: every write, sync and removal is recorded, and one can be made to fail.
//!
//! The only unsafe code of the journal's tests: SQLite wants its file layer as C functions.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_io_methods, sqlite3_vfs};

use crate::disk::Op;

/// How an operation fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The disk is full.
    Full,
    /// A write did not reach the disk.
    Write,
    /// A sync failed; the next one says that all is well.
    Sync,
}

/// What is to fail.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// After this many operations that change the disk.
    pub after: usize,
    /// How.
    pub failure: Failure,
    /// Whether all later ones fail as well.
    pub lasting: bool,
}

/// What happened to the files of one directory.
#[derive(Default)]
pub struct Tape {
    /// In order.
    pub ops: Vec<Op>,
    /// What is to fail.
    pub plan: Option<Plan>,
    /// Operations that would change the disk, so far.
    pub count: usize,
    /// Whether the plan has made one fail.
    pub failed: bool,
    dir: PathBuf,
    witness: Option<Vec<u8>>,
    /// Sizes are kept only where somebody listens.
    pub recording: bool,
}

/// A tape that is running.
pub type Shared = Arc<Mutex<Tape>>;

static TAPES: Mutex<BTreeMap<PathBuf, Shared>> = Mutex::new(BTreeMap::new());
static START: Once = Once::new();

/// Listens to all databases in `dir` that are opened from now on.
pub fn listen(dir: &Path, recording: bool) -> Shared {
    START.call_once(register);
    let tape = Tape { dir: dir.to_owned(), recording, ..Tape::default() };
    let shared = Arc::new(Mutex::new(tape));
    TAPES.lock().unwrap().insert(dir.to_owned(), shared.clone());
    shared
}

/// Stops listening.
pub fn forget(dir: &Path) {
    TAPES.lock().unwrap().remove(dir);
}

impl Tape {
    /// Looks whether the witness has changed, which is written without SQLite: an anchor (its first two sectors) is
    /// synced before anybody goes on, the rest is not.
    pub fn look_at_witness(&mut self) {
        if !self.recording {
            return;
        }
        let Ok(now) = std::fs::read(self.dir.join("witness")) else { return };
        let Some(before) = self.witness.replace(now.clone()) else {
            self.ops.push(Op::Appear { file: "witness".to_owned(), bytes: now });
            return;
        };
        for (at, (new, old)) in (0..).zip(now.chunks(512).zip(before.chunks(512))) {
            if new != old {
                let file = "witness".to_owned();
                self.ops.push(Op::Write { file: file.clone(), at: at * 512, bytes: new.to_owned() });
                if at < 2 {
                    self.ops.push(Op::Sync { file });
                }
            }
        }
    }

    fn record(&mut self, op: impl FnOnce() -> Op) {
        if self.recording {
            self.look_at_witness();
            self.ops.push(op());
        }
    }

    /// The code to fail with, if it is time.
    fn fails(&mut self, is_sync: bool) -> Option<c_int> {
        self.count += 1;
        let plan = self.plan?;
        if self.count <= plan.after || (self.failed && !plan.lasting) {
            return None;
        }
        let code = match plan.failure {
            Failure::Full if !is_sync => ffi::SQLITE_FULL,
            Failure::Write if !is_sync => ffi::SQLITE_IOERR_WRITE,
            Failure::Sync if is_sync => ffi::SQLITE_IOERR_FSYNC,
            _ => return None,
        };
        self.failed = true;
        Some(code)
    }
}

/// An open file: SQLite's own follows it in memory.
#[repr(C)]
struct Ear {
    base: sqlite3_file,
    name: *mut Heard,
}

struct Heard {
    file: String,
    tape: Shared,
}

static mut REAL: *mut sqlite3_vfs = std::ptr::null_mut();
static mut METHODS: Option<sqlite3_io_methods> = None;

fn register() {
    // SAFETY: runs once, before any other use; the copied structure lives for ever.
    unsafe {
        let real = ffi::sqlite3_vfs_find(std::ptr::null());
        REAL = real;
        let mut mine = *real;
        mine.zName = c"ear".as_ptr();
        mine.szOsFile = (*real).szOsFile + size_of::<Ear>() as c_int;
        mine.xOpen = Some(open);
        mine.xDelete = Some(delete);
        METHODS = Some(sqlite3_io_methods {
            iVersion: 2,
            xClose: Some(close),
            xRead: Some(read),
            xWrite: Some(write),
            xTruncate: Some(truncate),
            xSync: Some(sync),
            xFileSize: Some(file_size),
            xLock: Some(lock),
            xUnlock: Some(unlock),
            xCheckReservedLock: Some(check_reserved_lock),
            xFileControl: Some(file_control),
            xSectorSize: Some(sector_size),
            xDeviceCharacteristics: Some(device_characteristics),
            xShmMap: Some(shm_map),
            xShmLock: Some(shm_lock),
            xShmBarrier: Some(shm_barrier),
            xShmUnmap: Some(shm_unmap),
            xFetch: None,
            xUnfetch: None,
        });
        ffi::sqlite3_vfs_register(Box::into_raw(Box::new(mine)), 1);
    }
}

fn tape_of(path: &Path) -> Option<Heard> {
    let dir = path.parent()?;
    let tape = TAPES.lock().unwrap().get(dir)?.clone();
    Some(Heard { file: path.file_name()?.to_str()?.to_owned(), tape })
}

unsafe fn path_of(name: *const c_char) -> Option<PathBuf> {
    if name.is_null() {
        return None;
    }
    // SAFETY: SQLite's names are C strings.
    let name: CString = unsafe { CStr::from_ptr(name) }.to_owned();
    Some(PathBuf::from(name.into_string().ok()?))
}

unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives szOsFile bytes at `file`; ours come first, the real file's after them.
    unsafe {
        let ear = file.cast::<Ear>();
        (*ear).base.pMethods = std::ptr::null();
        let real = (*REAL).xOpen.expect("open");
        let code = real(REAL, name, ear.add(1).cast(), flags, out);
        if code == ffi::SQLITE_OK {
            let heard = path_of(name).and_then(|path| tape_of(&path));
            (*ear).name = heard.map_or(std::ptr::null_mut(), |heard| Box::into_raw(Box::new(heard)));
            let methods = std::ptr::addr_of!(METHODS);
            (*ear).base.pMethods = (*methods).as_ref().expect("registered");
        }
        code
    }
}

unsafe extern "C" fn delete(_: *mut sqlite3_vfs, name: *const c_char, dir: c_int) -> c_int {
    // SAFETY: as `open`.
    unsafe {
        if let Some(Heard { file, tape }) = path_of(name).and_then(|path| tape_of(&path)) {
            tape.lock().unwrap().record(|| Op::Delete { file, synced: dir != 0 });
        }
        (*REAL).xDelete.expect("delete")(REAL, name, dir)
    }
}

/// Calls the real file's method.
macro_rules! real {
    ($file:ident, $method:ident $(, $argument:expr)*) => {
        // SAFETY: the real file lies behind ours and was opened by the real layer.
        unsafe {
            let real: *mut sqlite3_file = $file.cast::<Ear>().add(1).cast();
            (*(*real).pMethods).$method.expect("method")(real $(, $argument)*)
        }
    };
}

fn heard<'a>(file: *mut sqlite3_file) -> Option<&'a Heard> {
    // SAFETY: set by `open`, freed by `close`.
    unsafe { (*file.cast::<Ear>()).name.as_ref() }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: made by `open` with Box::into_raw, and closed once.
    unsafe {
        let name = (*file.cast::<Ear>()).name;
        if !name.is_null() {
            drop(Box::from_raw(name));
        }
    }
    real!(file, xClose)
}

unsafe extern "C" fn read(file: *mut sqlite3_file, to: *mut c_void, count: c_int, at: i64) -> c_int {
    real!(file, xRead, to, count, at)
}

unsafe extern "C" fn write(file: *mut sqlite3_file, from: *const c_void, count: c_int, at: i64) -> c_int {
    if let Some(Heard { file: name, tape }) = heard(file) {
        let mut tape = tape.lock().unwrap();
        if let Some(code) = tape.fails(false) {
            return code;
        }
        // SAFETY: SQLite gives `count` bytes.
        let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), count as usize) };
        tape.record(|| Op::Write { file: name.clone(), at: at as usize, bytes: bytes.to_owned() });
    }
    real!(file, xWrite, from, count, at)
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: i64) -> c_int {
    if let Some(Heard { file: name, tape }) = heard(file) {
        let mut tape = tape.lock().unwrap();
        if let Some(code) = tape.fails(false) {
            return code;
        }
        tape.record(|| Op::Truncate { file: name.clone(), size: size as usize });
    }
    real!(file, xTruncate, size)
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    let code = real!(file, xSync, flags);
    if let Some(Heard { file: name, tape }) = heard(file) {
        let mut tape = tape.lock().unwrap();
        if let Some(code) = tape.fails(true) {
            return code;
        }
        tape.record(|| Op::Sync { file: name.clone() });
    }
    code
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, size: *mut i64) -> c_int {
    real!(file, xFileSize, size)
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    real!(file, xLock, level)
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    real!(file, xUnlock, level)
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, out: *mut c_int) -> c_int {
    real!(file, xCheckReservedLock, out)
}

unsafe extern "C" fn file_control(file: *mut sqlite3_file, op: c_int, argument: *mut c_void) -> c_int {
    real!(file, xFileControl, op, argument)
}

unsafe extern "C" fn sector_size(file: *mut sqlite3_file) -> c_int {
    real!(file, xSectorSize)
}

unsafe extern "C" fn device_characteristics(file: *mut sqlite3_file) -> c_int {
    real!(file, xDeviceCharacteristics)
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    region: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    real!(file, xShmMap, region, size, extend, out)
}

unsafe extern "C" fn shm_lock(file: *mut sqlite3_file, offset: c_int, count: c_int, flags: c_int) -> c_int {
    real!(file, xShmLock, offset, count, flags)
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    real!(file, xShmBarrier);
}

unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, remove: c_int) -> c_int {
    real!(file, xShmUnmap, remove)
}
