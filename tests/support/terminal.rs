//! A program on a pseudo-terminal, and what it leaves on the screen.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    process::{Command, ExitStatus},
};

use rustix::{
    ioctl::{Getter, Setter, ioctl},
    termios::{Winsize, tcsetwinsize},
};

/// `TIOCSPTLCK`: locks or unlocks the other end of a pseudo-terminal.
const LOCK: u32 = 0x4004_5431;
/// `TIOCGPTN`: the number of the other end.
const NUMBER: u32 = 0x8004_5430;

/// What a program wrote to a terminal.
pub struct Seen {
    /// All that it wrote.
    pub raw: String,
    /// The lines that stay, from the first to the last.
    pub lines: Vec<String>,
    pub status: ExitStatus,
}

/// Runs a program with standard output and error on a terminal of this many rows and columns.
pub fn on_terminal(command: &mut Command, rows: u16, columns: u16) -> Seen {
    let mut screen = File::options().read(true).write(true).open("/dev/ptmx").expect("there are pseudo-terminals");
    // SAFETY: both requests take and give an integer of 32 bits, as ioctl_tty(2) says.
    let number = unsafe {
        ioctl(&screen, Setter::<LOCK, i32>::new(0)).expect("unlocked");
        ioctl(&screen, Getter::<NUMBER, u32>::new()).expect("it has a number")
    };
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&screen, size).expect("sized");
    let terminal = File::options().read(true).write(true).open(format!("/dev/pts/{number}")).expect("opens");
    let copy = || terminal.try_clone().expect("cloned");
    let mut child = command.stdout(copy()).stderr(copy()).env("TERM", "xterm").spawn().expect("starts");
    // With the last process that has the terminal, its end goes.
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    drop(terminal);
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match screen.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => bytes.extend(&piece[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // EIO: nobody has the terminal any more.
            Err(_) => break,
        }
    }
    let raw = String::from_utf8(bytes).expect("text");
    let status = child.wait().expect("ends");
    Seen { lines: lines(&raw), raw, status }
}

/// The lines that stay on a screen. Of the sequences for the cursor and for deleting it knows those
/// that progress bars use.
fn lines(raw: &str) -> Vec<String> {
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0, 0);
    let mut rest = raw.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\r' => column = 0,
            '\n' => {
                (row, column) = (row + 1, 0);
                if row == lines.len() {
                    lines.push(Vec::new());
                }
            }
            '\u{1b}' => {
                assert_eq!(rest.next(), Some('['), "an unknown sequence in {raw:?}");
                let number: String = std::iter::from_fn(|| rest.next_if(|c| c.is_ascii_digit() || *c == '?')).collect();
                let by = number.parse::<usize>().unwrap_or(1).max(1);
                match rest.next().expect("a sequence has an end") {
                    'A' => row = row.saturating_sub(by),
                    'B' => row = (row + by).min(lines.len() - 1),
                    'K' => lines[row].truncate(if number == "2" { 0 } else { column }),
                    'J' => {
                        lines.truncate(row + 1);
                        lines[row].truncate(column);
                    }
                    'h' | 'l' | 'm' => {}
                    other => panic!("an unknown sequence `{other}` in {raw:?}"),
                }
            }
            c => {
                let line = &mut lines[row];
                if line.len() <= column {
                    line.resize(column + 1, ' ');
                }
                line[column] = c;
                column += 1;
            }
        }
    }
    lines.into_iter().map(|line| line.into_iter().collect::<String>().trim_end().to_owned()).collect()
}

/// The length of the longest piece that was ever written to one line, characters.
pub fn widest(raw: &str) -> usize {
    let piece = |text: &str| {
        let (mut count, mut in_sequence) = (0, false);
        for c in text.chars() {
            match c {
                '\u{1b}' => in_sequence = true,
                c if in_sequence => in_sequence = !c.is_ascii_alphabetic(),
                _ => count += 1,
            }
        }
        count
    };
    raw.split(['\r', '\n']).map(piece).max().unwrap_or(0)
}
