//! A scene as PNG: `resvg` draws its SVG, with two dots a pixel.

use std::sync::{Arc, LazyLock};

use resvg::{
    tiny_skia::{Color, Pixmap, Transform},
    usvg::{Options, Tree, fontdb::Database},
};

use super::{font, scene::Scene};

/// Dots a pixel, in each direction.
const SCALE: f64 = 2.0;
/// The longest side of a picture, dots.
const DOTS_MAX: f64 = 20_000.0;

/// The fonts that a picture may use: the one in the program, and none of the system's, so that a
/// picture has the same bytes on every machine.
static FONTS: LazyLock<Arc<Database>> = LazyLock::new(|| {
    let mut fonts = Database::new();
    fonts.load_font_data(font::FILE.to_vec());
    Arc::new(fonts)
});

/// Why a scene could not be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PngError {
    /// The picture is empty, or larger than [`DOTS_MAX`].
    #[error("a picture of {width} by {height} pixels can't be drawn")]
    Size {
        /// Pixels across.
        width: f64,
        /// Pixels down.
        height: f64,
    },
    /// The scene's SVG can't be read.
    #[error("drawing a picture: {0}")]
    Drawing(#[from] resvg::usvg::Error),
    /// The dots can't be written as PNG.
    #[error("writing a picture as PNG: {0}")]
    Packing(String),
}

impl Scene {
    /// The scene as the bytes of a PNG file.
    ///
    /// # Errors
    /// [`PngError::Size`] for a scene that has no area or is too large; the others do not happen to
    /// scenes of finite numbers.
    pub fn png(&self) -> Result<Vec<u8>, PngError> {
        let size = || PngError::Size { width: self.width, height: self.height };
        let dots = |side: f64| Some((SCALE * side).ceil()).filter(|dots| (1.0..=DOTS_MAX).contains(dots));
        let (across, down) = dots(self.width).zip(dots(self.height)).ok_or_else(size)?;
        let mut picture = Pixmap::new(across as u32, down as u32).ok_or_else(size)?;
        picture.fill(Color::WHITE);
        let options = Options { fontdb: Arc::clone(&FONTS), ..Options::default() };
        let tree = Tree::from_str(&self.svg(), &options)?;
        resvg::render(&tree, Transform::from_scale(SCALE as f32, SCALE as f32), &mut picture.as_mut());
        picture.encode_png().map_err(|error| PngError::Packing(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{Align, BLACK, Path, Rect};

    fn dots(scene: &Scene) -> Pixmap {
        Pixmap::decode_png(&scene.png().expect("is drawn")).expect("is a PNG file")
    }

    /// Whether a dot is as dark as [`BLACK`].
    fn is_dark(picture: &Pixmap, x: u32, y: u32) -> bool {
        picture.pixel(x, y).expect("is in the picture").red() <= BLACK.0
    }

    #[test]
    fn paint_covers_what_it_should_and_nothing_outside_its_clip() {
        let mut scene = Scene::new(20.0, 20.0, "", "");
        let square = Rect { x: 5.0, y: 5.0, width: 10.0, height: 10.0 };
        let clip = Some(Rect { x: 0.0, y: 0.0, width: 10.0, height: 20.0 });
        scene.path(Path { lines: vec![square.corners()], closed: true, fill: Some(BLACK), stroke: None, clip });
        let picture = dots(&scene);
        assert_eq!((picture.width(), picture.height()), (40, 40));
        assert!(is_dark(&picture, 12, 20) && is_dark(&picture, 19, 28), "inside");
        assert!(!is_dark(&picture, 8, 20) && !is_dark(&picture, 12, 31), "outside");
        assert!(!is_dark(&picture, 21, 20), "outside of the clip");
    }

    #[test]
    fn texts_are_drawn_where_they_are_measured() {
        let mut scene = Scene::new(200.0, 40.0, "", "");
        let (text, size) = ("Pareto f₁ α ≥ 0.5", 20.0);
        scene.text(text, [10.0, 28.0], Align::Start, size, BLACK);
        let picture = dots(&scene);
        let columns = (0..400).filter(|x| (0..80).any(|y| is_dark(&picture, *x, y)));
        let (first, last) = columns.fold((400, 0), |(first, last), x| (x.min(first), x.max(last)));
        let end = 10.0 + font::width(text, size);
        assert!((20..26).contains(&first), "begins at dot {first}");
        assert!((2.0 * end - f64::from(last)).abs() < 6.0, "ends at dot {last}, not {}", 2.0 * end);
    }

    #[test]
    fn a_scene_without_area_is_refused() {
        let refused = Scene::new(0.0, 10.0, "", "").png().expect_err("no area");
        assert!(refused.to_string().contains("0 by 10"), "{refused}");
        assert!(Scene::new(1e9, 10.0, "", "").png().is_err());
    }
}
