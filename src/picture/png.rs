//! A scene as PNG (W3C, third edition), two dots a pixel.

use std::io::Write;

use flate2::{Compression, write::ZlibEncoder};
use zeno::{Cap, Command, Fill, Join, Mask, Stroke as Pen, Style, Vector};

use super::{
    colour::Colour,
    font::{self, Segment},
    scene::{Mark, Path, Point, Rect, Scene, Stroke, Text},
};

/// Dots a pixel, in each direction.
const SCALE: f64 = 2.0;
/// No side is longer.
const DOTS_MAX: f64 = 20_000.0;

/// Why a scene could not be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PngError {
    /// It is empty or larger than can be held.
    #[error("a picture of {width} by {height} pixels can't be drawn")]
    Size {
        /// Pixels across.
        width: f64,
        /// Pixels down.
        height: f64,
    },
    /// The dots could not be packed.
    #[error("packing a picture: {0}")]
    Packing(#[from] std::io::Error),
}

impl Scene {
    /// The scene as the bytes of a PNG file.
    ///
    /// # Errors
    /// [`PngError`] for a scene without area or with too large a one.
    pub fn png(&self) -> Result<Vec<u8>, PngError> {
        let allowed = |side: f64| (1.0..=DOTS_MAX).contains(&(SCALE * side));
        if !(allowed(self.width) && allowed(self.height)) {
            return Err(PngError::Size { width: self.width, height: self.height });
        }
        let mut dots = Dots::new((SCALE * self.width).ceil() as usize, (SCALE * self.height).ceil() as usize);
        for mark in &self.marks {
            match mark {
                Mark::Path(path) => dots.path(path),
                Mark::Text(text) => dots.text(text),
            }
        }
        Ok(dots.pack()?)
    }
}

/// Dots on white paper: red, green and blue, row by row.
struct Dots {
    width: usize,
    height: usize,
    values: Vec<u8>,
}

fn place([x, y]: Point) -> Vector {
    Vector::new((SCALE * x) as f32, (SCALE * y) as f32)
}

impl Dots {
    fn new(width: usize, height: usize) -> Dots {
        Dots { width, height, values: vec![0xff; 3 * width * height] }
    }

    fn path(&mut self, path: &Path) {
        let mut commands = Vec::new();
        for line in &path.lines {
            let mut points = line.iter().map(|point| place(*point));
            commands.extend(points.next().map(Command::MoveTo));
            commands.extend(points.map(Command::LineTo));
            if path.closed {
                commands.push(Command::Close);
            }
        }
        if let Some(fill) = path.fill {
            self.paint(&commands, Fill::EvenOdd, fill, 1.0, path.clip);
        }
        if let Some(Stroke { colour, width, opacity }) = path.stroke {
            let mut pen = Pen::new((SCALE * width) as f32);
            pen.cap(Cap::Round).join(Join::Round);
            self.paint(&commands, pen, colour, opacity, path.clip);
        }
    }

    fn text(&mut self, text: &Text) {
        let before = text.before(font::width(&text.text, text.size));
        let (sine, cosine) = libm::sincos(-text.turned.to_radians());
        let at = |[x, y]: Point| {
            let x = x - before;
            place([text.at[0] + cosine * x - sine * y, text.at[1] + sine * x + cosine * y])
        };
        let command = |segment: Segment| match segment {
            Segment::Move(to) => Command::MoveTo(at(to)),
            Segment::Line(to) => Command::LineTo(at(to)),
            Segment::Quad(by, to) => Command::QuadTo(at(by), at(to)),
            Segment::Cubic(by, then, to) => Command::CurveTo(at(by), at(then), at(to)),
            Segment::Close => Command::Close,
        };
        let commands: Vec<Command> = font::outline(&text.text, text.size).into_iter().map(command).collect();
        self.paint(&commands, Fill::NonZero, text.colour, 1.0, None);
    }

    /// Lays a colour over what an outline covers.
    fn paint<'s>(
        &mut self,
        commands: &[Command],
        style: impl Into<Style<'s>>,
        colour: Colour,
        opacity: f64,
        clip: Option<Rect>,
    ) {
        if commands.is_empty() {
            return;
        }
        let (cover, area) = Mask::new(commands).style(style).render();
        let whole = Rect { x: 0.0, y: 0.0, width: self.width as f64 / SCALE, height: self.height as f64 / SCALE };
        let clip = clip.unwrap_or(whole);
        let end = |start: f64, length: f64, most: usize| ((SCALE * (start + length)).round() as i64).min(most as i64);
        let begin = |start: f64| ((SCALE * start).round() as i64).max(0);
        let columns = begin(clip.x)..end(clip.x, clip.width, self.width);
        let rows = begin(clip.y)..end(clip.y, clip.height, self.height);
        let Colour(red, green, blue) = colour;
        for (row, cover) in cover.chunks_exact((area.width as usize).max(1)).enumerate() {
            let y = i64::from(area.top) + row as i64;
            if !rows.contains(&y) {
                continue;
            }
            for (column, cover) in cover.iter().enumerate() {
                let x = i64::from(area.left) + column as i64;
                if *cover == 0 || !columns.contains(&x) {
                    continue;
                }
                let share = opacity * f64::from(*cover) / 255.0;
                let at = 3 * (y as usize * self.width + x as usize);
                for (dot, paint) in self.values[at..at + 3].iter_mut().zip([red, green, blue]) {
                    *dot = (f64::from(*dot) + share * (f64::from(paint) - f64::from(*dot))).round() as u8;
                }
            }
        }
    }

    fn pack(&self) -> std::io::Result<Vec<u8>> {
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
        let row = 3 * self.width;
        let mut above = vec![0; row];
        for dots in self.values.chunks_exact(row) {
            // Filter 2, "up": a row as its differences from the one above.
            let differences: Vec<u8> = dots.iter().zip(&above).map(|(dot, above)| dot.wrapping_sub(*above)).collect();
            packed.write_all(&[2])?;
            packed.write_all(&differences)?;
            above.copy_from_slice(dots);
        }
        let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
        let mut header = Vec::new();
        header.extend((self.width as u32).to_be_bytes());
        header.extend((self.height as u32).to_be_bytes());
        // Eight bits a colour, red, green and blue, the only methods of compression and filters,
        // rows in order.
        header.extend([8, 2, 0, 0, 0]);
        chunk(&mut out, b"IHDR", &header);
        chunk(&mut out, b"IDAT", &packed.finish()?);
        chunk(&mut out, b"IEND", &[]);
        Ok(out)
    }
}

fn chunk(out: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    out.extend((data.len() as u32).to_be_bytes());
    let start = out.len();
    out.extend(name);
    out.extend(data);
    let sum = crc32fast::hash(&out[start..]);
    out.extend(sum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::BLACK;

    #[test]
    fn paint_covers_what_it_should_and_nothing_outside_its_clip() {
        let mut dots = Dots::new(40, 40);
        let square = Rect { x: 5.0, y: 5.0, width: 10.0, height: 10.0 };
        let clip = Some(Rect { x: 0.0, y: 0.0, width: 10.0, height: 20.0 });
        dots.path(&Path { lines: vec![square.corners()], closed: true, fill: Some(BLACK), stroke: None, clip });
        let dark = |x: usize, y: usize| dots.values[3 * (40 * y + x)] == BLACK.0;
        assert!(dark(12, 20) && dark(19, 29), "inside");
        assert!(!dark(8, 20) && !dark(12, 31), "outside");
        assert!(!dark(21, 20), "outside of the clip");
    }

    #[test]
    fn a_scene_without_area_is_refused() {
        let refused = Scene::new(0.0, 10.0, "", "").png().expect_err("no area");
        assert!(refused.to_string().contains("0 by 10"), "{refused}");
        assert!(Scene::new(1e9, 10.0, "", "").png().is_err());
    }
}
