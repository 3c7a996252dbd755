//! A printer in virtual time: a link that waits by moving the clock, and faults that fall where they were put.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use micropayd::printer::link::{Link, Open};

use crate::machine::Machine;

/// Something that goes wrong, or is put right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    PaperEnds,
    PaperLoaded,
    CoverOpens,
    CoverCloses,
    /// The connection is gone; what the printer received it keeps.
    LineCut,
    /// The plug is pulled; the buffer is lost.
    PowerOff,
    PowerOn,
    /// What the printer says is lost from here on.
    Deaf,
    Hears,
}

/// When.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// When the printer has received that many bytes in all.
    Received(u64),
    /// When it has printed that many bytes in all.
    Printed(u64),
    /// At that time.
    At(Duration),
}

/// The printer and everything around it.
pub struct World {
    pub now: Duration,
    pub machine: Machine,
    pub power: bool,
    deaf: bool,
    /// Which connection is alive; a cut makes a new number.
    connection: u64,
    received: u64,
    /// Bytes printed in a millisecond.
    pub speed: usize,
    events: VecDeque<(When, Event, Option<Duration>)>,
}

impl World {
    pub fn new(machine: Machine, speed: usize) -> Self {
        Self {
            now: Duration::ZERO,
            machine,
            power: true,
            deaf: false,
            connection: 0,
            received: 0,
            speed,
            events: VecDeque::new(),
        }
    }

    /// Plans a fault; it is put right after it has lasted so long.
    pub fn plan(&mut self, when: When, event: Event, lasts: Duration) {
        self.events.push_back((when, event, Some(lasts)));
    }

    /// Bytes received so far: the place from which a job's faults are counted.
    pub fn received(&self) -> u64 {
        self.received
    }

    fn happen(&mut self) {
        let mut at = 0;
        while let Some((when, event, lasts)) = self.events.get(at).copied() {
            let due = match when {
                When::Received(bytes) => self.received >= bytes,
                When::Printed(bytes) => self.machine.printed >= bytes,
                When::At(time) => self.now >= time,
            };
            if !due {
                at += 1;
                continue;
            }
            self.events.remove(at);
            let end = match event {
                Event::PaperEnds => Some(Event::PaperLoaded),
                Event::CoverOpens => Some(Event::CoverCloses),
                Event::PowerOff => Some(Event::PowerOn),
                Event::Deaf => Some(Event::Hears),
                _ => None,
            };
            if let (Some(end), Some(lasts)) = (end, lasts) {
                self.events.push_back((When::At(self.now + lasts), end, None));
            }
            match event {
                Event::PaperEnds => self.machine.end_paper(),
                Event::PaperLoaded => self.machine.paper_out = false,
                Event::CoverOpens => self.machine.cover = true,
                Event::CoverCloses => self.machine.cover = false,
                Event::LineCut => self.connection += 1,
                Event::PowerOff => {
                    self.machine.power_cycle();
                    self.power = false;
                    self.connection += 1;
                }
                Event::PowerOn => self.power = true,
                Event::Deaf => self.deaf = true,
                Event::Hears => self.deaf = false,
            }
        }
    }

    /// A millisecond passes.
    pub fn tick(&mut self) {
        self.now += Duration::from_millis(1);
        // One byte at a time, so that a fault falls exactly where it was put.
        for _ in 0..self.speed {
            if self.power {
                self.machine.work(1);
            }
            self.happen();
            if self.machine.idle() {
                break;
            }
        }
    }

    /// A span of time passes.
    pub fn wait(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.pass(end);
        }
    }

    /// Time passes, at most until `end`: a millisecond while something is printed, else up to the next event.
    fn pass(&mut self, end: Duration) {
        if self.power && self.machine.online() && !self.machine.idle() {
            return self.tick();
        }
        let events = self.events.iter().filter_map(|(when, ..)| match when {
            When::At(time) => Some(*time),
            When::Received(_) | When::Printed(_) => None,
        });
        self.now = events.fold(end, Duration::min).max(self.now + Duration::from_millis(1));
        if self.power {
            // It may have something to say.
            self.machine.work(0);
        }
        self.happen();
    }

    /// What was planned and has not happened will not.
    pub fn call_off(&mut self) {
        self.events.clear();
    }

    /// Everything that went wrong is put right, and the printer prints what it still has.
    pub fn put_right(&mut self) {
        self.call_off();
        self.power = true;
        self.deaf = false;
        self.machine.paper_out = false;
        self.machine.cover = false;
        while !self.machine.idle() {
            self.tick();
        }
    }

    fn receive(&mut self, byte: u8) {
        self.received += 1;
        self.machine.receive(byte);
        self.happen();
    }
}

/// Opens links into the world.
pub struct Door {
    pub world: Arc<Mutex<World>>,
    pub stays_open: bool,
}

impl Open for Door {
    fn open(&mut self) -> Result<Box<dyn Link>, String> {
        let world = self.world.lock().unwrap();
        if !world.power {
            return Err("switched off".to_owned());
        }
        let connection = world.connection;
        drop(world);
        Ok(Box::new(Way { world: Arc::clone(&self.world), connection }))
    }

    fn stays_open(&self) -> bool {
        self.stays_open
    }
}

struct Way {
    world: Arc<Mutex<World>>,
    connection: u64,
}

impl Way {
    fn alive(&self, world: &World) -> io::Result<()> {
        if world.connection == self.connection && world.power {
            return Ok(());
        }
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl Link for Way {
    fn now(&self) -> Duration {
        self.world.lock().unwrap().now
    }

    fn send(&mut self, bytes: &[u8], wait: Duration) -> io::Result<usize> {
        let mut world = self.world.lock().unwrap();
        let end = world.now + wait;
        loop {
            self.alive(&world)?;
            // A network takes what fits into its packets, whatever becomes of it.
            let take = world.machine.room().min(bytes.len()).min(512);
            if take > 0 {
                for byte in &bytes[..take] {
                    if self.alive(&world).is_err() {
                        // The rest of the packet is lost; the sender learns it at its next call.
                        break;
                    }
                    world.receive(*byte);
                }
                world.tick();
                return Ok(take);
            }
            if world.now >= end {
                return Ok(0);
            }
            world.pass(end);
        }
    }

    fn receive(&mut self, into: &mut [u8], wait: Duration) -> io::Result<usize> {
        let mut world = self.world.lock().unwrap();
        let end = world.now + wait;
        loop {
            self.alive(&world)?;
            let said = world.machine.say(into.len());
            if !said.is_empty() && !world.deaf {
                into[..said.len()].copy_from_slice(&said);
                return Ok(said.len());
            }
            if world.now >= end {
                return Ok(0);
            }
            world.pass(end);
        }
    }

    fn close(self: Box<Self>, _: Duration) {}
}
