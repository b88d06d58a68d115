//! The files to which a command writes its picture.

use std::path::PathBuf;

use super::Scene;
use crate::exit::{Failure, write};

/// Arguments of a command that draws.
#[derive(clap::Args)]
pub struct Files {
    /// Write the picture as SVG.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write the picture as PNG.
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
}

impl Files {
    /// Draws the picture and writes the files, if any is asked for.
    ///
    /// # Errors
    /// A file can't be written.
    pub fn write(&self, draw: impl FnOnce() -> Scene) -> Result<(), Failure> {
        if self.svg.is_none() && self.png.is_none() {
            return Ok(());
        }
        let scene = draw();
        if let Some(path) = &self.svg {
            write(path, scene.svg().as_bytes())?;
        }
        if let Some(path) = &self.png {
            write(path, &scene.png().map_err(Failure::failed)?)?;
        }
        Ok(())
    }
}
