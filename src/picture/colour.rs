//! Colours and palettes.

/// A colour in sRGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour(pub u8, pub u8, pub u8);

/// Text and frames.
pub const BLACK: Colour = Colour(0x22, 0x22, 0x22);
/// Ticks, grids and secondary text.
pub const GREY: Colour = Colour(0x66, 0x66, 0x66);
/// The paper.
pub const WHITE: Colour = Colour(0xff, 0xff, 0xff);

/// Colours of lines on a light ground that can be told apart with any colour vision (after Okabe
/// and Ito, the light ones left out).
pub const LINES: [Colour; 6] = [
    Colour(0xd5, 0x5e, 0x00),
    Colour(0x00, 0x72, 0x54),
    Colour(0x8b, 0x2f, 0x8f),
    Colour(0xb0, 0x84, 0x00),
    Colour(0x2b, 0x2b, 0x2b),
    Colour(0x00, 0x5a, 0x9e),
];

/// From 0 to 1: paper to a light blue on which lines can be seen.
const SEQUENTIAL: [Colour; 4] =
    [Colour(0xfb, 0xfc, 0xfe), Colour(0xe3, 0xec, 0xf5), Colour(0xbf, 0xd5, 0xe8), Colour(0x8d, 0xb4, 0xd6)];

/// From -1 over 0 to 1: orange, paper, blue.
const DIVERGING: [Colour; 7] = [
    Colour(0xa6, 0x4a, 0x03),
    Colour(0xe0, 0x82, 0x14),
    Colour(0xfd, 0xc9, 0x8a),
    Colour(0xf7, 0xf7, 0xf7),
    Colour(0xa6, 0xc8, 0xe3),
    Colour(0x43, 0x8b, 0xc3),
    Colour(0x17, 0x4f, 0x89),
];

/// The colour of a share from 0 to 1.
pub fn sequential(share: f64) -> Colour {
    between(&SEQUENTIAL, share)
}

/// The colour of a number from -1 to 1.
pub fn diverging(value: f64) -> Colour {
    between(&DIVERGING, (value + 1.0) / 2.0)
}

fn between(palette: &[Colour], share: f64) -> Colour {
    let last = palette.len() - 1;
    let place = if share.is_finite() { share.clamp(0.0, 1.0) * last as f64 } else { 0.0 };
    let low = (place as usize).min(last - 1);
    let (Colour(r, g, b), Colour(s, h, c)) = (palette[low], palette[low + 1]);
    let part = place - low as f64;
    let mix = |from: u8, to: u8| (f64::from(from) + part * (f64::from(to) - f64::from(from))).round() as u8;
    Colour(mix(r, s), mix(g, h), mix(b, c))
}

impl Colour {
    /// Black or white, whichever can be read better on this colour.
    pub fn ink(self) -> Colour {
        if self.luminance() > 0.179 { Colour(0, 0, 0) } else { WHITE }
    }

    /// The relative luminance of WCAG 2.
    pub fn luminance(self) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contrast(one: Colour, other: Colour) -> f64 {
        let (one, other) = (one.luminance(), other.luminance());
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn palettes_have_their_ends_and_middles() {
        assert_eq!(diverging(-1.0), DIVERGING[0]);
        assert_eq!(diverging(0.0), DIVERGING[3]);
        assert_eq!(diverging(2.0), DIVERGING[6]);
        assert_eq!(sequential(0.0), SEQUENTIAL[0]);
    }

    #[test]
    fn values_can_be_read_on_every_cell_and_lines_seen_on_every_ground() {
        for step in -100..=100 {
            let colour = diverging(f64::from(step) / 100.0);
            assert!(contrast(colour, colour.ink()) >= 4.5, "{step}: {}", contrast(colour, colour.ink()));
        }
        for line in LINES {
            assert!(contrast(line, WHITE) >= 3.0, "{line:?}: {}", contrast(line, WHITE));
        }
    }
}
