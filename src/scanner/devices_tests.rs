//! Machines with scanners in them, as folders.

use std::os::unix::fs::symlink;

use super::*;

/// A machine's `/sys` and `/dev`.
struct Machine {
    dir: tempfile::TempDir,
}

const DIGITS: &str = "10000 7 ff980000000007ff febeffdfffefffff fffffffffffffffe";
const MOUSE: &str = "1f0000 0 0 0 0";
const POS: &[u8] =
    &[0x05, 0x8c, 0x09, 0x02, 0xa1, 0x01, 0x75, 0x08, 0x95, 0x20, 0x09, 0xfe, 0x81, 0x02, 0xc0];

impl Machine {
    fn new() -> Self {
        let machine = Self { dir: tempfile::tempdir().unwrap() };
        for socket in [("ttyS0", "4"), ("ttyS1", "0")] {
            machine.write(&format!("sys/class/tty/{}/type", socket.0), socket.1);
            fs::create_dir_all(machine.path(&format!("sys/class/tty/{}/device", socket.0))).unwrap();
        }
        machine.write("sys/class/tty/tty1/dev", "4:1");
        machine
    }

    fn root(&self) -> &Path {
        self.dir.path()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Plugs a USB device in, with one interface, and whatever `class/node` it makes.
    fn plug(&self, port: &str, id: (&str, &str, &str), node: Option<&str>, extra: &[(&str, &[u8])]) {
        let usb = format!("sys/devices/pci0/usb1/{port}");
        self.write(&format!("{usb}/idVendor"), id.0);
        self.write(&format!("{usb}/idProduct"), format!("{}\n", id.1));
        self.write(&format!("{usb}/manufacturer"), "Maker\n");
        self.write(&format!("{usb}/product"), "Scanner\n");
        if !id.2.is_empty() {
            self.write(&format!("{usb}/serial"), id.2);
        }
        fs::create_dir_all(self.path("sys/bus/usb/devices")).unwrap();
        symlink(self.path(&usb), self.path(&format!("sys/bus/usb/devices/{port}"))).unwrap();
        let Some(node) = node else { return };
        let interface = format!("{usb}/{port}:1.0");
        for (name, content) in extra {
            self.write(&format!("{interface}/{name}"), content);
        }
        fs::create_dir_all(self.path(&interface)).unwrap();
        let class = self.path(&format!("sys/class/{node}"));
        fs::create_dir_all(&class).unwrap();
        symlink(self.path(&interface), class.join("device")).unwrap();
        let name = node.split_once('/').unwrap().1;
        self.write(&format!("dev/{}{name}", if node.starts_with("input") { "input/" } else { "" }), "");
    }

    fn link(&self, link: &str, node: &str) {
        let link = self.path(link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(self.path(node), link).unwrap();
    }
}

fn nodes(machine: &Machine) -> Vec<(Kind, String)> {
    let name =
        |found: Found| (found.kind, found.node.strip_prefix(machine.root()).unwrap().display().to_string());
    all(machine.root()).into_iter().map(name).collect()
}

#[test]
fn what_could_be_a_scanner_is_found() {
    let machine = Machine::new();
    machine.plug("1-1", ("1eab", "0c06", "AB12"), Some("tty/ttyACM0"), &[]);
    machine.plug(
        "1-2",
        ("1eab", "0c03", ""),
        Some("input/event3"),
        &[("capabilities/key", DIGITS.as_bytes())],
    );
    machine.plug(
        "1-3",
        ("046d", "c077", ""),
        Some("input/event4"),
        &[("capabilities/key", MOUSE.as_bytes())],
    );
    machine.plug("1-4", ("0c2e", "0b81", "7"), Some("hidraw/hidraw0"), &[("report_descriptor", POS)]);
    machine.plug("1-5", ("046d", "c31c", ""), Some("hidraw/hidraw1"), &[("report_descriptor", &[5, 1])]);
    let expected = [
        (Kind::Serial, "dev/ttyACM0"),
        (Kind::Serial, "dev/ttyS0"),
        (Kind::Evdev, "dev/input/event3"),
        (Kind::Hidpos, "dev/hidraw0"),
    ];
    assert_eq!(nodes(&machine), expected.map(|(kind, node)| (kind, node.to_owned())));
    let first = &all(machine.root())[0];
    let usb = first.usb.as_ref().unwrap();
    assert_eq!(
        (usb.vendor, usb.product, usb.serial.as_str(), usb.port.as_str()),
        (0x1eab, 0x0c06, "AB12", "1-1")
    );
    assert_eq!(usb.label, "Maker Scanner");
    let (_, vendor) = reports(machine.root(), &machine.path("dev/hidraw0")).unwrap();
    assert_eq!(vendor, Some(0x0c2e));
    assert!(reports(machine.root(), &machine.path("dev/hidraw1")).is_err());
}

#[test]
fn a_name_leads_to_the_device_wherever_its_node_is() {
    let machine = Machine::new();
    machine.plug("1-1", ("1eab", "0c06", "AB12"), Some("tty/ttyACM3"), &[]);
    machine.plug("1-2.1", ("1a86", "7523", ""), Some("tty/ttyUSB0"), &[]);
    machine.plug("1-2.2", ("1a86", "7523", ""), Some("tty/ttyUSB1"), &[]);
    let find = |path: &str| resolve(machine.root(), Kind::Serial, path).map_err(|error| error.to_string());
    for path in ["usb:1eab:0c06", "usb:1EAB:0C06:AB12", "usb:1eab:0c06@1-1"] {
        assert_eq!(find(path), Ok(machine.path("dev/ttyACM3")), "{path}");
    }
    assert_eq!(find("usb:1a86:7523@1-2.2"), Ok(machine.path("dev/ttyUSB1")));
    let both = find("usb:1a86:7523").unwrap_err();
    assert!(both.contains("ttyUSB0 and") && both.contains("\"usb:1a86:7523@1-2.1\""), "{both}");
    for absent in ["usb:1eab:0c06:CD34", "usb:1eab:0c10", "usb:", "usb:x:y", "usb:1eab:0c06@1-9"] {
        // The error that an absent path has too: what the cashier is told goes by its number.
        let error = resolve(machine.root(), Kind::Serial, absent).unwrap_err();
        assert_eq!(Errno::from_io_error(&error), Some(Errno::NOENT), "{absent}");
    }
    assert!(resolve(machine.root(), Kind::Evdev, "usb:1eab:0c06").is_err());
    assert_eq!(find("/dev/ttyS0"), Ok(PathBuf::from("/dev/ttyS0")));
}

#[test]
fn a_lasting_path_means_one_device_only() {
    let machine = Machine::new();
    machine.plug("1-1", ("1eab", "0c06", "AB12"), Some("tty/ttyACM0"), &[]);
    machine.plug("1-2.1", ("1a86", "7523", "0000"), Some("tty/ttyUSB0"), &[]);
    machine.plug("1-2.2", ("1a86", "7523", "0000"), Some("tty/ttyUSB1"), &[]);
    let path = |index: usize| {
        let path = lasting_path(machine.root(), &all(machine.root())[index]);
        path.strip_prefix(machine.root().to_str().unwrap()).unwrap_or(&path).to_owned()
    };
    assert_eq!(path(0), "usb:1eab:0c06:AB12");
    assert_eq!(path(2), "usb:1a86:7523@1-2.1", "a serial number that two have says nothing");
    machine.link("dev/serial/by-id/usb-Newland", "dev/ttyACM0");
    machine.link("dev/serial/by-id/usb-CH340", "dev/ttyUSB1");
    machine.link("dev/serial/by-path/pci-1-2.1", "dev/ttyUSB0");
    assert_eq!(path(0), "/dev/serial/by-id/usb-Newland");
    assert_eq!(path(1), "/dev/ttyS0");
    assert_eq!(path(2), "/dev/serial/by-path/pci-1-2.1");
    for index in [0, 2, 3] {
        let found = &all(machine.root())[index];
        let path = lasting_path(machine.root(), found);
        assert_eq!(
            fs::canonicalize(resolve(machine.root(), found.kind, &path).unwrap()).unwrap(),
            fs::canonicalize(&found.node).unwrap()
        );
    }
}

#[test]
fn a_scanner_in_another_guise_is_named() {
    let machine = Machine::new();
    assert_eq!(hint(machine.root(), Kind::Serial), None);
    machine.plug(
        "1-2",
        ("1eab", "0c03", "Z9"),
        Some("input/event3"),
        &[("capabilities/key", DIGITS.as_bytes())],
    );
    assert_eq!(
        hint(machine.root(), Kind::Serial).unwrap(),
        "A Newland 新大陆 is plugged in as a USB keyboard: write kind = \"evdev\" and path = \"usb:1eab:0c03:Z9\", \
         or let it read its setup code for USB COM."
    );
    assert!(hint(machine.root(), Kind::Evdev).unwrap().contains("write path = \"usb:1eab:0c03:Z9\""));
    machine.link("proc/self/fd/7", "dev/input/event3");
    assert_eq!(
        hint(machine.root(), Kind::Serial),
        None,
        "the other scanner of this shop is not the one that is missing"
    );
    let other = Machine::new();
    other.plug("1-1", ("05e0", "1900", ""), None, &[]);
    assert!(hint(other.root(), Kind::Serial).unwrap().contains("needs its maker's driver"));
}

#[test]
fn the_udev_rules_hand_over_every_known_make() {
    let rules = include_str!("../../hardware/udev/70-micropayd.rules");
    let list = rules.split("ATTRS{idVendor}==\"").nth(1).unwrap().split('"').next().unwrap();
    let known: Vec<String> = MAKERS.iter().map(|(vendor, _)| format!("{vendor:04x}")).collect();
    assert_eq!(list.split('|').collect::<Vec<_>>(), known);
}
