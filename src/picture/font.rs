//! The font of drawn texts: Roboto, which is in the program (`font/README.md`).

use std::sync::LazyLock;

use ttf_parser::{Face, GlyphId, OutlineBuilder};

use super::scene::Point;

static FACE: LazyLock<Face<'static>> = LazyLock::new(|| {
    Face::parse(include_bytes!("font/Roboto-Regular.ttf"), 0).expect("the font in the program is one")
});

/// One stroke of a glyph's outline, in pixels with y down.
#[derive(Debug, Clone, Copy)]
pub(super) enum Segment {
    Move(Point),
    Line(Point),
    Quad(Point, Point),
    Cubic(Point, Point, Point),
    Close,
}

fn glyph(character: char) -> GlyphId {
    FACE.glyph_index(character).unwrap_or(GlyphId(0))
}

fn scale(size: f64) -> f64 {
    size / f64::from(FACE.units_per_em())
}

/// The width of a text in pixels.
pub fn width(text: &str, size: f64) -> f64 {
    let units: f64 = text.chars().map(|c| f64::from(FACE.glyph_hor_advance(glyph(c)).unwrap_or(0))).sum();
    units * scale(size)
}

/// The outline of a text that begins at (0, 0).
pub(super) fn outline(text: &str, size: f64) -> Vec<Segment> {
    let mut outline = Outline { segments: Vec::new(), scale: scale(size), x: 0.0 };
    for character in text.chars() {
        let glyph = glyph(character);
        FACE.outline_glyph(glyph, &mut outline);
        outline.x += f64::from(FACE.glyph_hor_advance(glyph).unwrap_or(0)) * outline.scale;
    }
    outline.segments
}

struct Outline {
    segments: Vec<Segment>,
    scale: f64,
    x: f64,
}

impl Outline {
    fn place(&self, x: f32, y: f32) -> Point {
        [self.x + self.scale * f64::from(x), -self.scale * f64::from(y)]
    }
}

impl OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        self.segments.push(Segment::Move(self.place(x, y)));
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.segments.push(Segment::Line(self.place(x, y)));
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.segments.push(Segment::Quad(self.place(x1, y1), self.place(x, y)));
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.segments.push(Segment::Cubic(self.place(x1, y1), self.place(x2, y2), self.place(x, y)));
    }

    fn close(&mut self) {
        self.segments.push(Segment::Close);
    }
}
