//! A scene as PNG, two dots a pixel.

use tiny_skia::{
    FillRule, LineCap, LineJoin, Mask, Paint, PathBuilder, Pixmap, Stroke as SkiaStroke, Transform,
};

use super::{
    colour::Colour,
    font::{self, Segment},
    scene::{Mark, Path, Point, Rect, Scene, Stroke, Text},
};

/// Dots a pixel, in each direction.
const SCALE: f64 = 2.0;

/// Why a scene could not be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PngError {
    /// It is empty or larger than can be held.
    #[error("a picture of {width} by {height} dots can't be drawn")]
    Size {
        /// Dots across.
        width: u32,
        /// Dots down.
        height: u32,
    },
    /// The dots could not be packed.
    #[error("packing the picture: {0}")]
    Encoding(String),
}

impl Scene {
    /// The scene as the bytes of a PNG file.
    ///
    /// # Errors
    /// [`PngError`] for a scene without area or with too large a one.
    pub fn png(&self) -> Result<Vec<u8>, PngError> {
        let (width, height) = ((SCALE * self.width).ceil() as u32, (SCALE * self.height).ceil() as u32);
        let mut dots = Pixmap::new(width, height).ok_or(PngError::Size { width, height })?;
        dots.fill(tiny_skia::Color::WHITE);
        for mark in &self.marks {
            match mark {
                Mark::Path(path) => draw_path(&mut dots, path),
                Mark::Text(text) => draw_text(&mut dots, text),
            }
        }
        dots.encode_png().map_err(|error| PngError::Encoding(error.to_string()))
    }
}

fn paint(Colour(red, green, blue): Colour, opacity: f64) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(red, green, blue, (255.0 * opacity).round() as u8);
    paint
}

fn dots_of(at: Point) -> (f32, f32) {
    ((SCALE * at[0]) as f32, (SCALE * at[1]) as f32)
}

fn draw_path(dots: &mut Pixmap, path: &Path) {
    let mut builder = PathBuilder::new();
    for line in &path.lines {
        for (at, point) in line.iter().enumerate() {
            let (x, y) = dots_of(*point);
            if at == 0 { builder.move_to(x, y) } else { builder.line_to(x, y) }
        }
        if path.closed {
            builder.close();
        }
    }
    // Lines without length are nothing to paint.
    let Some(outline) = builder.finish() else { return };
    let mask = path.clip.and_then(|clip| mask(dots, clip));
    if let Some(fill) = path.fill {
        dots.fill_path(&outline, &paint(fill, 1.0), FillRule::EvenOdd, Transform::identity(), mask.as_ref());
    }
    if let Some(Stroke { colour, width, opacity }) = path.stroke {
        let stroke = SkiaStroke {
            width: (SCALE * width) as f32,
            line_cap: LineCap::Round,
            line_join: LineJoin::Round,
            ..SkiaStroke::default()
        };
        dots.stroke_path(&outline, &paint(colour, opacity), &stroke, Transform::identity(), mask.as_ref());
    }
}

fn mask(dots: &Pixmap, clip: Rect) -> Option<Mask> {
    let mut mask = Mask::new(dots.width(), dots.height())?;
    let (x, y) = dots_of([clip.x, clip.y]);
    let rect = tiny_skia::Rect::from_xywh(x, y, (SCALE * clip.width) as f32, (SCALE * clip.height) as f32)?;
    mask.fill_path(&PathBuilder::from_rect(rect), FillRule::Winding, true, Transform::identity());
    Some(mask)
}

fn draw_text(dots: &mut Pixmap, text: &Text) {
    let mut builder = PathBuilder::new();
    let before = text.before(font::width(&text.text, text.size));
    let place = |[x, y]: Point| dots_of([x - before, y]);
    for segment in font::outline(&text.text, text.size) {
        match segment {
            Segment::Move(to) => builder.move_to(place(to).0, place(to).1),
            Segment::Line(to) => builder.line_to(place(to).0, place(to).1),
            Segment::Quad(by, to) => builder.quad_to(place(by).0, place(by).1, place(to).0, place(to).1),
            Segment::Cubic(by, then, to) => {
                let (by, then, to) = (place(by), place(then), place(to));
                builder.cubic_to(by.0, by.1, then.0, then.1, to.0, to.1);
            }
            Segment::Close => builder.close(),
        }
    }
    let Some(outline) = builder.finish() else { return };
    let (x, y) = dots_of(text.at);
    let turned = Transform::from_rotate(-text.turned as f32).post_translate(x, y);
    dots.fill_path(&outline, &paint(text.colour, 1.0), FillRule::Winding, turned, None);
}
