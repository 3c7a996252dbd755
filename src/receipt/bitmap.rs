//! Black dots on white paper, one bit a dot, and their PNG form.

use std::io::Cursor;

/// A picture, one bit a dot: rows padded to whole bytes, the leftmost dot in the highest bit, 1 is black.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bitmap {
    width: usize,
    height: usize,
    bits: Vec<u8>,
}

/// Widest printer known to escpos-printer-db, and as high as wide: larger logos are refused.
const LOGO_DOTS_MAX: u32 = 832;
/// More than any such picture needs.
const LOGO_BYTES_MAX: usize = 2 << 20;

impl Bitmap {
    /// White paper.
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, bits: vec![0; width.div_ceil(8) * height] }
    }

    /// Dots in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Bytes in a row.
    pub fn row_bytes(&self) -> usize {
        self.width.div_ceil(8)
    }

    /// The rows, top first.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.bits.chunks(self.row_bytes().max(1))
    }

    /// Whether the dot is black; beyond the edge it is white.
    pub fn get(&self, x: usize, y: usize) -> bool {
        x < self.width && y < self.height && self.bits[y * self.row_bytes() + x / 8] & (0x80 >> (x % 8)) != 0
    }

    /// Makes the dot black; beyond the edge nothing happens.
    pub fn set(&mut self, x: usize, y: usize) {
        if x < self.width && y < self.height {
            let place = y * self.row_bytes() + x / 8;
            self.bits[place] |= 0x80 >> (x % 8);
        }
    }

    /// Makes a rectangle black.
    pub fn fill(&mut self, x: usize, y: usize, width: usize, height: usize) {
        for y in y..y + height {
            for x in x..x + width {
                self.set(x, y);
            }
        }
    }

    /// Draws `other` with its left upper corner at `x`, `y`.
    pub fn draw(&mut self, other: &Bitmap, x: usize, y: usize) {
        for row in 0..other.height {
            for column in 0..other.width {
                if other.get(column, row) {
                    self.set(x + column, y + row);
                }
            }
        }
    }

    /// The same picture, each dot as four.
    pub fn doubled(&self) -> Self {
        let mut large = Self::new(self.width * 2, self.height * 2);
        for y in 0..self.height {
            for x in 0..self.width {
                if self.get(x, y) {
                    large.fill(x * 2, y * 2, 2, 2);
                }
            }
        }
        large
    }

    /// A 1-bit greyscale PNG.
    pub fn to_png(&self) -> Vec<u8> {
        let mut png = Vec::new();
        let mut encoder = png::Encoder::new(&mut png, self.width.max(1) as u32, self.height.max(1) as u32);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        let mut ink: Vec<u8> = self.bits.iter().map(|byte| !byte).collect();
        ink.resize(self.width.max(1).div_ceil(8) * self.height.max(1), 0xFF);
        // A vector never refuses bytes and the size is right, so this cannot fail; an empty answer is no picture.
        if encoder.write_header().and_then(|mut writer| writer.write_image_data(&ink)).is_err() {
            return Vec::new();
        }
        png
    }

    /// Reads a logo: any PNG of at most 832×832 dots; what is darker than the middle and not transparent is black.
    ///
    /// # Errors
    /// What is wrong with the picture.
    pub fn from_png(bytes: &[u8]) -> Result<Self, String> {
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
        let mut bitmap = Self::new(width as usize, height as usize);
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
        bitmap.set(13, 0);
        assert_eq!(Bitmap::from_png(&bitmap.to_png()).unwrap(), bitmap);
        assert!(!Bitmap::new(0, 0).to_png().is_empty());
    }

    #[test]
    fn what_is_no_logo_is_refused() {
        assert!(Bitmap::from_png(b"GIF89a").unwrap_err().contains("not a PNG"));
        assert!(Bitmap::from_png(&Bitmap::new(900, 3).to_png()).unwrap_err().contains("900×3"));
        let whole = Bitmap::new(100, 100).to_png();
        for cut in 0..whole.len() - 12 {
            let _ = Bitmap::from_png(&whole[..cut]);
        }
    }

    #[test]
    fn a_dot_doubled_is_four() {
        let mut dot = Bitmap::new(2, 1);
        dot.set(1, 0);
        let large = dot.doubled();
        assert_eq!((large.width(), large.height()), (4, 2));
        assert!(large.get(2, 0) && large.get(3, 1) && !large.get(1, 1));
    }
}
