//! The font of pictures: Roboto, which is in the program (`font/README.md`).

use std::sync::LazyLock;

use ttf_parser::Face;

/// The bytes of the font's file.
pub(super) const FILE: &[u8] = include_bytes!("font/Roboto-Regular.ttf");

static FACE: LazyLock<Face<'static>> =
    LazyLock::new(|| Face::parse(FILE, 0).expect("the file in the program is a font"));

/// The width of a text in pixels, for a font size in pixels. The font has no kerning: the width is
/// the sum of the characters' widths.
pub fn width(text: &str, size: f64) -> f64 {
    let advance = |character| FACE.glyph_hor_advance(FACE.glyph_index(character).unwrap_or_default());
    let units: f64 = text.chars().map(|character| f64::from(advance(character).unwrap_or(0))).sum();
    units * size / f64::from(FACE.units_per_em())
}
