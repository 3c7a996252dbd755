//! Black dots on white paper, one bit a dot, and their PNG form.

/// A picture, one bit a dot: rows padded to whole bytes, the leftmost dot in the highest bit, 1 is black.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bitmap {
    width: usize,
    height: usize,
    bits: Vec<u8>,
}

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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_is_where_it_was_set() {
        let mut bitmap = Bitmap::new(13, 2);
        bitmap.set(12, 1);
        bitmap.set(13, 0);
        assert_eq!(bitmap.rows().flatten().copied().collect::<Vec<u8>>(), [0, 0, 0, 0x08]);
        assert!(bitmap.get(12, 1) && !bitmap.get(12, 2));
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
