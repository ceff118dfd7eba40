//! Keeps log files bounded while their writers hold them open: copies, then truncates.
//!
//! Writers append (`O_APPEND`), so after truncation they go on at the start. Lines written between the last read
//! of the copy and the truncation are lost; the window is a few microseconds, and the price of pipes would be
//! apps that die with the server.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bounds of one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Size in bytes at which a log is rotated, and the most that is kept of it then.
    pub max_size: u64,
    /// How many files there are at most, the present one included; at least 1.
    pub files: u32,
}

impl Default for Rotation {
    /// 3 files of 10 MiB.
    fn default() -> Self {
        Self { max_size: 10 << 20, files: 3 }
    }
}

impl Rotation {
    /// Rotates the log if it has reached its size. `true` when it did.
    ///
    /// # Errors
    /// When the file system refuses; the log is then as it was or shorter, never longer.
    pub fn rotate_if_full(&self, log: &Path) -> io::Result<bool> {
        let size = match log.metadata() {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if size < self.max_size {
            return Ok(false);
        }
        let kept = self.shift(log).and_then(|()| self.copy(log));
        // Even when the copy failed (a full disk): the bound holds, and truncating is what makes room.
        File::options().write(true).open(log)?.set_len(0)?;
        kept.map(|()| true)
    }

    /// The file that is `age` rotations old; 0 is the present one.
    #[must_use]
    pub fn file(log: &Path, age: u32) -> PathBuf {
        if age == 0 {
            return log.to_owned();
        }
        let mut name = log.as_os_str().to_owned();
        name.push(format!(".{age}"));
        PathBuf::from(name)
    }

    fn shift(&self, log: &Path) -> io::Result<()> {
        for age in (1..self.files.saturating_sub(1)).rev() {
            match fs::rename(Self::file(log, age), Self::file(log, age + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Copies at most `max_size` bytes from the end of the log, beginning with a whole line.
    fn copy(&self, log: &Path) -> io::Result<()> {
        if self.files < 2 {
            return Ok(());
        }
        let mut source = File::open(log)?;
        let size = source.metadata()?.len();
        let mut target = open_new(&Self::file(log, 1))?;
        let skip = size.saturating_sub(self.max_size);
        source.seek(SeekFrom::Start(skip))?;
        let mut buffer = vec![0; 64 * 1024];
        let mut at_line_start = skip == 0;
        let mut left = self.max_size.saturating_mul(2);
        loop {
            let count = source.read(&mut buffer)?;
            if count == 0 || left == 0 {
                return Ok(());
            }
            left = left.saturating_sub(count as u64);
            let mut chunk = &buffer[..count];
            if !at_line_start {
                let Some(end) = chunk.iter().position(|&byte| byte == b'\n') else { continue };
                chunk = &chunk[end + 1..];
                at_line_start = true;
            }
            target.write_all(chunk)?;
        }
    }
}

fn open_new(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().write(true).create(true).truncate(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_three_files_of_bounded_size() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("web.1.log");
        let rotation = Rotation { max_size: 1000, files: 3 };
        assert!(!rotation.rotate_if_full(&log).unwrap(), "no log, nothing to do");
        let mut writer = super::super::open(&log).unwrap();
        for round in 0..5 {
            for line in 0..30 {
                writeln!(writer, "round {round} line {line:02} ................................").unwrap();
            }
            assert!(rotation.rotate_if_full(&log).unwrap());
            assert_eq!(log.metadata().unwrap().len(), 0);
        }
        writeln!(writer, "after").unwrap();
        assert_eq!(fs::read_to_string(&log).unwrap(), "after\n", "the open writer goes on at the start");
        let one = fs::read_to_string(Rotation::file(&log, 1)).unwrap();
        assert!(one.len() <= 1000 && one.starts_with("round 4") && one.contains("round 4 line 29"), "{one}");
        assert!(fs::read_to_string(Rotation::file(&log, 2)).unwrap().starts_with("round 3"));
        assert!(!Rotation::file(&log, 3).exists());
    }
}
