//! The space set aside.

use std::os::unix::fs::MetadataExt;

use super::super::reserve::Reserve;

fn held(dir: &std::path::Path) -> (u64, u64) {
    let file = std::fs::metadata(dir.join("reserve")).unwrap();
    (file.len(), file.blocks() * 512)
}

#[test]
fn the_space_is_really_taken_and_given_back_in_slices() {
    const WHOLE: u64 = 4 << 20;
    let dir = tempfile::tempdir().unwrap();
    let mut reserve = Reserve::new(dir.path());
    assert!(!reserve.is_low());
    let (length, taken) = held(dir.path());
    assert!(length == WHOLE && taken >= WHOLE, "{length} long, {taken} on the disk");

    reserve.set_low();
    assert!(reserve.is_low(), "until somebody looks again");
    reserve.look();
    assert!(!reserve.is_low());

    assert!(reserve.release());
    assert!(reserve.is_low(), "until it is whole again");
    assert_eq!(held(dir.path()).0, WHOLE - (256 << 10));
    reserve.look();
    assert!(!reserve.is_low());
    assert_eq!(held(dir.path()).0, WHOLE);

    for _ in 0..16 {
        assert!(reserve.release());
    }
    assert_eq!(held(dir.path()).0, 0);
    assert!(!reserve.release(), "there is nothing left to give");
    drop(reserve);

    // A hole of the right length, as a copying program leaves it, is no space.
    std::fs::File::create(dir.path().join("reserve")).unwrap().set_len(WHOLE).unwrap();
    assert!(!Reserve::new(dir.path()).is_low());
    let (length, taken) = held(dir.path());
    assert!(length == WHOLE && taken >= WHOLE, "{length} long, {taken} on the disk");
}
