//! A job that broke off at any byte leaves the printer in the middle of something. Whatever it was, and whether the line
//! was cut or the daemon ended: the next receipt comes out whole.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use micropayd::input::PrintOutcome;
use micropayd::printer::profile::{Question, UsbId};
use micropayd::printer::session::Session;
use micropayd::printer::{Profile, Waits, escpos};
use micropayd::receipt::{Copy, Line, Template, layout};

use crate::jobs::{receipt, shows};
use crate::machine::{Machine, Temper};
use crate::world::{Door, Event, When, World};

/// Every byte from here to the end is tried, which holds the cut of the paper and the question behind it.
const END: u64 = 40;
/// Three `DLE EOT n`: what stands before a job.
const QUESTIONS: usize = 9;
/// Before that every so many bytes: odd, so that each byte of a command and each dot of a picture has its turn.
const STRIDE: u64 = 31;
/// `GS ( H` with its name: what stands behind a receipt.
const PROOF: u64 = 11;
/// A second cut falls so many bytes after the first: while the printer is being brought back in step.
const SECOND: [Option<u64>; 3] = [None, Some(1), Some(100)];

/// What broke the job off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Break {
    Line,
    /// The line, and the daemon with it: the next session knows nothing of the job.
    Daemon,
}

/// The receipt of a sale with a picture in it.
fn lines(number: u32, profile: &Profile) -> Vec<Line> {
    let mut receipt = receipt(number, Copy::Original);
    receipt.subject = format!("😀{number}");
    layout(&receipt, profile.columns, &Template::default())
}

/// Breaks two receipts off after `place` bytes each, then prints a third until the printer has it.
fn break_off(profile: &Profile, place: u64, again: Option<u64>, how: Break) {
    let story = || format!("{:?}: {how:?} after {place} bytes, again {again:?}", profile.status);
    let mut machine = Machine::new(Temper::Epson);
    machine.capacity = 65_536;
    let world = Arc::new(Mutex::new(World::new(machine, 100)));
    let begin = |name| {
        let door = Door { world: Arc::clone(&world), stays_open: true };
        let stop = Arc::new(AtomicBool::new(false));
        Session::new(profile.clone(), Waits::default(), Box::new(door), name, stop)
    };
    let mut session = begin(1);
    session.look().unwrap();
    let automatic = if profile.answers(Question::Asb) { escpos::AUTOMATIC_STATUS.len() } else { 0 };
    let back_in_step = escpos::zeros(profile).len() + escpos::NEW_LINE.len();
    // The second job stands behind what brings the printer back in step, and is broken off at the same place.
    for (number, before) in [(1, 0), (2, (automatic + QUESTIONS + back_in_step) as u64)] {
        {
            let mut world = world.lock().unwrap();
            let from = world.received() + before + place;
            for at in [Some(0), again].into_iter().flatten() {
                world.plan(When::Received(from + at), Event::LineCut, Duration::ZERO);
            }
        }
        print(&mut session, &world, profile, number);
        if again.is_some() {
            print(&mut session, &world, profile, number);
        }
        // A cut that was not reached falls nowhere else.
        world.lock().unwrap().call_off();
        if how == Break::Daemon {
            session = begin(1000 * number);
            session.tear();
        }
    }
    let end = print(&mut session, &world, profile, 3);
    assert_eq!(end, PrintOutcome::Printed, "{}", story());
}

/// Prints a receipt; what is called printed is on the paper, whole.
fn print(session: &mut Session, world: &Mutex<World>, profile: &Profile, number: u32) -> PrintOutcome {
    let lines = lines(number, profile);
    let outcome = session.print(&lines, &mut |_| {});
    let items = &world.lock().unwrap().machine.paper.items;
    let whole = (0..items.len()).any(|from| shows(&items[from..], &lines, profile));
    assert!(whole || outcome != PrintOutcome::Printed, "{number} is called printed: {items:?}");
    outcome
}

fn all(status: Vec<Question>) {
    let mut profile = Profile::built_in("generic-58mm").unwrap();
    profile.usb = Vec::<UsbId>::new();
    profile.raster_band = 8;
    profile.status = status;
    profile.proven = true;
    let job = escpos::receipt(&lines(1, &profile), &profile).len() as u64 + PROOF;
    let places = (1..job - END).step_by(STRIDE as usize).chain(job - END..=job);
    for place in places {
        for again in SECOND {
            for how in [Break::Line, Break::Daemon] {
                break_off(&profile, place, again, how);
            }
        }
    }
}

#[test]
fn the_receipt_after_one_that_broke_off_is_whole_where_jobs_have_names() {
    all(vec![Question::Gsh, Question::Dle]);
}

#[test]
fn and_where_the_printer_speaks_by_itself() {
    all(vec![Question::Gsh, Question::Dle, Question::Asb]);
}

#[test]
fn and_where_the_paper_is_asked_for() {
    all(vec![Question::Gsr, Question::Dle]);
}
