//! A shop's logo: a PNG picture becomes dots.

use std::io::Cursor;

use crate::receipt::Bitmap;

/// Widest printer known to escpos-printer-db, and as high as wide: larger logos are refused.
const LOGO_DOTS_MAX: u32 = 832;
/// More than any such picture needs.
const LOGO_BYTES_MAX: usize = 2 << 20;

/// Reads a logo: any PNG of at most 832×832 dots; what is darker than the middle and not transparent is black.
///
/// # Errors
/// What is wrong with the picture.
pub fn read(bytes: &[u8]) -> Result<Bitmap, String> {
    if bytes.len() > LOGO_BYTES_MAX {
        return Err(format!("picture has {} bytes, expected at most {LOGO_BYTES_MAX}", bytes.len()));
    }
    let limits = png::Limits { bytes: 16 << 20 };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(|error| format!("not a PNG picture: {error}"))?;
    let (width, height) = (reader.info().width, reader.info().height);
    if width > LOGO_DOTS_MAX || height > LOGO_DOTS_MAX {
        return Err(format!(
            "picture is {width}×{height} dots, expected at most {LOGO_DOTS_MAX}×{LOGO_DOTS_MAX}"
        ));
    }
    let mut buffer = vec![0; reader.output_buffer_size().ok_or("picture is too large")?];
    let frame = reader.next_frame(&mut buffer).map_err(|error| format!("broken PNG picture: {error}"))?;
    let samples = frame.color_type.samples();
    let mut bitmap = Bitmap::new(width as usize, height as usize);
    for (y, row) in buffer.chunks_exact(frame.line_size).enumerate() {
        for (x, dot) in row.chunks_exact(samples).enumerate() {
            let (grey, alpha) = match dot {
                [grey] => (u32::from(*grey), 255),
                [grey, alpha] => (u32::from(*grey), u32::from(*alpha)),
                // Rec. 601 luma.
                [r, g, b, rest @ ..] => (
                    (u32::from(*r) * 299 + u32::from(*g) * 587 + u32::from(*b) * 114) / 1000,
                    rest.first().map_or(255, |alpha| u32::from(*alpha)),
                ),
                [] => continue,
            };
            if 255 * 255 - alpha * (255 - grey) < 255 * 128 {
                bitmap.set(x, y);
            }
        }
    }
    Ok(bitmap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_survives_png() {
        let mut bitmap = Bitmap::new(13, 5);
        for (x, y) in [(0, 0), (12, 4), (7, 2), (8, 2)] {
            bitmap.set(x, y);
        }
        assert_eq!(read(&bitmap.to_png()).unwrap(), bitmap);
    }

    #[test]
    fn what_is_no_logo_is_refused() {
        assert!(read(b"GIF89a").unwrap_err().contains("not a PNG"));
        assert!(read(&Bitmap::new(900, 3).to_png()).unwrap_err().contains("900×3"));
        let whole = Bitmap::new(100, 100).to_png();
        for cut in 0..whole.len() - 12 {
            let _ = read(&whole[..cut]);
        }
    }
}
