//! The tones, made here so that no recording is needed: a rise for paid, a fall for not paid, a siren for the manager,
//! one beep for a code that was taken, two for one that was refused. The page in the browser has the same ones. Pure.

use super::Sound;

/// Samples in a second: enough for tones below 4 kHz, and few enough that a whole sound fits into a pipe.
const RATE: u32 = 8000;

/// How loud, of 32767: what a till's small loudspeaker plays without rattling.
const LOUD: f32 = 16_000.0;

/// Each tone rises and falls for so long, or it would click.
const EDGE: u32 = RATE / 200;

/// Hertz (0 for silence) and milliseconds.
fn score(sound: Sound) -> &'static [(u32, u32)] {
    match sound {
        Sound::Scanned => &[(1320, 90)],
        Sound::Refused => &[(440, 120), (0, 60), (440, 120)],
        Sound::Paid(_) => &[(523, 130), (659, 130), (784, 320)],
        Sound::NotPaid => &[(330, 180), (220, 400)],
        Sound::CallManager => &[(700, 180), (500, 180), (700, 180), (500, 180), (700, 180), (500, 300)],
    }
}

/// A WAV file: 8 kHz, one channel, 16 bits.
pub fn wav(sound: Sound) -> Vec<u8> {
    let mut samples: Vec<i16> = Vec::new();
    for (hertz, ms) in score(sound) {
        let count = RATE * ms / 1000;
        for at in 0..count {
            let edge = at.min(count - at).min(EDGE) as f32 / EDGE as f32;
            let turn = (at * hertz % RATE) as f32 / RATE as f32 * std::f32::consts::TAU;
            samples.push((turn.sin() * edge * LOUD) as i16);
        }
    }
    let length = u32::try_from(samples.len() * 2).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(44 + samples.len() * 2);
    bytes.extend(b"RIFF");
    bytes.extend((length + 36).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16_u32.to_le_bytes());
    // PCM, one channel, samples and bytes a second, bytes a sample, bits.
    bytes.extend(1_u16.to_le_bytes());
    bytes.extend(1_u16.to_le_bytes());
    bytes.extend(RATE.to_le_bytes());
    bytes.extend((RATE * 2).to_le_bytes());
    bytes.extend(2_u16.to_le_bytes());
    bytes.extend(16_u16.to_le_bytes());
    bytes.extend(b"data");
    bytes.extend(length.to_le_bytes());
    bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every() -> [Sound; 5] {
        let paid = Sound::Paid("12.50".parse().unwrap());
        [Sound::Scanned, Sound::Refused, paid, Sound::NotPaid, Sound::CallManager]
    }

    #[test]
    fn each_sound_is_its_own_and_fits_into_a_pipe() {
        let files = every().map(wav);
        for (at, file) in files.iter().enumerate() {
            assert_eq!(file[..4], *b"RIFF");
            assert_eq!(u32::from_le_bytes(file[40..44].try_into().unwrap()) as usize, file.len() - 44);
            assert_eq!(u32::from_le_bytes(file[4..8].try_into().unwrap()) as usize, file.len() - 8);
            // A Linux pipe holds 64 KiB: handing it over never waits for the player.
            assert!(file.len() < 60_000, "{}", file.len());
            assert!(files[at + 1..].iter().all(|other| other != file));
            // It is heard, and neither begins nor ends with a click.
            let sample = |at: usize| i16::from_le_bytes(file[at..at + 2].try_into().unwrap());
            assert!((44..file.len()).step_by(2).any(|at| sample(at) > 8_000));
            assert!(sample(44).abs() < 500 && sample(file.len() - 2).abs() < 5_000);
        }
    }

    #[test]
    fn the_first_tone_has_its_pitch() {
        let file = wav(Sound::Scanned);
        let samples: Vec<i16> =
            file[44..].chunks(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect();
        // 90 ms of 1320 Hz go through zero upwards some 119 times.
        let ups = samples.windows(2).filter(|two| two[0] < 0 && two[1] >= 0).count();
        assert!((115..=120).contains(&ups), "{ups}");
    }
}
