//! The terminal that a command writes to: how wide it is, and whether it takes colours.

use std::io;

use anstream::ColorChoice;
use clap::ValueEnum;

/// What `--color` takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Color {
    /// If the output is a terminal that supports colour.
    Auto,
    /// Even in files and pipes.
    Always,
    /// Never.
    Never,
}

impl From<Color> for ColorChoice {
    fn from(color: Color) -> Self {
        match color {
            // Looks at the terminal, at NO_COLOR (https://no-color.org) and at CLICOLOR.
            Color::Auto => Self::Auto,
            Color::Always => Self::AlwaysAnsi,
            Color::Never => Self::Never,
        }
    }
}

/// Columns to fill: the terminal's, else `COLUMNS`, else 80; within what reads well.
pub fn width() -> usize {
    let terminal = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
    let variable = || std::env::var("COLUMNS").ok()?.parse().ok();
    terminal.or_else(variable).unwrap_or(80).clamp(40, 120)
}
