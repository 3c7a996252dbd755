//! The journal is lost with all that belongs to it, and put back from the log: what the gateway holds is on the books again,
//! and goes on. A key that a POS has used is not: it is in no log.

use micropayd::gateway::wechat;
use micropayd::journal::{self, Settings};
use micropayd::terminal::remembered::{Common, read};

use crate::ears;
use crate::lane;
use crate::shop::Shop;

impl Shop<'_> {
    /// Writes down what the terminal has said until now.
    pub fn listen(&mut self) {
        let at = self.clock().rfc3339();
        for line in ears::take_lines() {
            self.log.push_str(&format!("{at}  INFO {line}\n"));
        }
    }

    /// Database, witness and copies are gone, and a person builds the journal anew from the log.
    pub fn lose_journal(&mut self) {
        self.say(|| "the journal is lost".to_owned());
        self.stop();
        for entry in std::fs::read_dir(self.dir()).expect("its directory") {
            let path = entry.expect("readable").path();
            if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
                .expect("gone");
        }
        let common = Common {
            terminal: lane::terminal(),
            subject: lane::SUBJECT.to_owned(),
            gateway: wechat::NAME.to_owned(),
            prints: true,
        };
        let memory = read(self.log.as_bytes(), &common).expect("a log");
        assert_eq!(memory.without_beginning, 0, "all of the log is there");
        let settings = Settings { dir: self.dir().to_owned() };
        let restored = journal::restore(&settings, &memory.told).expect("a journal");
        assert_eq!(restored.recalled.refunds_left_out, 0, "{}", self.log);
        self.put_back += restored.recalled.refunds;
        self.refund_keys.clear();
        // Every sale that did not end as paid is asked about now: with a chance at each of them no start would get through.
        self.crash_chance = 0.0;
        self.boot();
    }
}
