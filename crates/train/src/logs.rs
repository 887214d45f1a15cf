//! What is written down while training: `metrics.jsonl`, `metrics.csv`, `timing.jsonl`.
//!
//! `metrics.jsonl` is a function of the configuration, the data and the seed: a run that was killed and resumed has the same bytes
//! as one that was not. Times stand in `timing.jsonl`. `metrics.csv` is a function of `metrics.jsonl`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::checkpoint::LogLengths;
use crate::error::Error;
use crate::run::write_whole;

/// The logs of a run.
#[derive(Debug)]
pub(crate) struct Logs {
    metrics: Lines,
    timing: Lines,
    csv: Csv,
    /// What was wrong when they were opened.
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug)]
struct Lines {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Lines {
    /// Opens a file and cuts it back to `length`, the end of a line. A shorter file was cut by someone else: it is cut back to the
    /// end of its last line, with a warning.
    fn open(path: PathBuf, length: u64, warnings: &mut Vec<String>) -> Result<Self, Error> {
        let io = |doing, source| Error::Io { doing, path: path.clone(), source };
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|source| io("open", source))?;
        let found = file.metadata().map_err(|source| io("read", source))?.len();
        let length = if length <= found {
            length
        } else {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(|source| io("read", source))?;
            warnings.push(format!(
                "{} has {found} bytes, {length} were written: its last lines are lost",
                path.display()
            ));
            bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline as u64 + 1)
        };
        file.set_len(length).map_err(|source| io("cut back", source))?;
        file.seek(SeekFrom::End(0)).map_err(|source| io("read", source))?;
        Ok(Self { path, file, length })
    }

    fn write(&mut self, line: &str) -> Result<(), Error> {
        self.file.write_all(line.as_bytes()).map_err(|source| Error::Io {
            doing: "write",
            path: self.path.clone(),
            source,
        })?;
        self.length += line.len() as u64;
        Ok(())
    }

    fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(|source| Error::Io {
            doing: "flush to the disk",
            path: self.path.clone(),
            source,
        })
    }
}

#[derive(Debug)]
struct Csv {
    path: PathBuf,
    columns: Vec<String>,
    /// The last figure of each name, as of the last time it was written anew.
    last: BTreeMap<String, f64>,
}

impl Logs {
    /// Opens the logs of a run and cuts them back to where a checkpoint was made.
    pub(crate) fn open(folder: &Path, at: LogLengths) -> Result<Self, Error> {
        let mut warnings = Vec::new();
        let metrics = Lines::open(folder.join("metrics.jsonl"), at.metrics, &mut warnings)?;
        let timing = Lines::open(folder.join("timing.jsonl"), at.timing, &mut warnings)?;
        let csv = Csv { path: folder.join("metrics.csv"), columns: Vec::new(), last: BTreeMap::new() };
        let mut logs = Self { metrics, timing, csv, warnings };
        logs.rebuild()?;
        Ok(logs)
    }

    /// Returns the last figure of each name that there was when the logs were opened.
    pub(crate) fn figures(&self) -> BTreeMap<String, f64> {
        self.csv.last.clone()
    }

    /// Writes a line of figures.
    pub(crate) fn metrics(&mut self, step: u64, epoch: u64, figures: &[(String, f64)]) -> Result<(), Error> {
        self.metrics.write(&line(step, epoch, figures))?;
        if figures.iter().all(|(name, _)| self.csv.columns.contains(name)) {
            let row = row(&self.csv.columns, step, epoch, figures);
            let io = |source| Error::Io { doing: "write", path: self.csv.path.clone(), source };
            let mut file = File::options().append(true).open(&self.csv.path).map_err(io)?;
            file.write_all(row.as_bytes()).map_err(io)
        } else {
            self.rebuild()
        }
    }

    /// Writes a line of times.
    pub(crate) fn timing(&mut self, step: u64, epoch: u64, figures: &[(String, f64)]) -> Result<(), Error> {
        self.timing.write(&line(step, epoch, figures))
    }

    /// Flushes to the disk and says how long the logs are.
    pub(crate) fn lengths(&self) -> Result<LogLengths, Error> {
        self.metrics.sync()?;
        self.timing.sync()?;
        Ok(LogLengths { metrics: self.metrics.length, timing: self.timing.length })
    }

    /// Writes `metrics.csv` anew from `metrics.jsonl`: where a column joined, or the log was cut back.
    fn rebuild(&mut self) -> Result<(), Error> {
        let path = &self.metrics.path;
        let text = fs::read_to_string(path).map_err(|source| Error::Io {
            doing: "read",
            path: path.clone(),
            source,
        })?;
        let mut columns: Vec<String> = Vec::new();
        let mut rows = Vec::new();
        for line in text.lines() {
            let Ok(Line { step, epoch, figures }) = serde_json::from_str(line) else { continue };
            // The order of a line's names is not kept by every build of the parser: within a line columns join by name.
            let figures: Vec<(String, f64)> =
                figures.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect();
            for (name, _) in &figures {
                if !columns.contains(name) {
                    columns.push(name.clone());
                }
            }
            rows.push((step, epoch, figures));
        }
        let mut csv = String::from("step,epoch");
        for column in &columns {
            csv.push(',');
            csv.push_str(column);
        }
        csv.push('\n');
        for (step, epoch, figures) in &rows {
            csv.push_str(&row(&columns, *step, *epoch, figures));
        }
        self.csv.columns = columns;
        let figures = rows.into_iter().flat_map(|(_, _, figures)| figures);
        self.csv.last = figures.filter(|(_, value)| value.is_finite()).collect();
        write_whole(&self.csv.path, csv.as_bytes())
    }
}

#[derive(serde::Deserialize)]
struct Line {
    step: u64,
    epoch: u64,
    #[serde(flatten)]
    figures: BTreeMap<String, Option<f64>>,
}

/// One flat JSON object, its names in the order given. What is not finite becomes `null`.
fn line(step: u64, epoch: u64, figures: &[(String, f64)]) -> String {
    let mut line = format!("{{\"step\":{step},\"epoch\":{epoch}");
    for (name, value) in figures {
        let name = serde_json::Value::from(name.as_str());
        let value = serde_json::Value::from(*value);
        let _ = write!(line, ",{name}:{value}");
    }
    line.push_str("}\n");
    line
}

fn row(columns: &[String], step: u64, epoch: u64, figures: &[(String, f64)]) -> String {
    let mut row = format!("{step},{epoch}");
    for column in columns {
        row.push(',');
        if let Some((_, value)) = figures.iter().find(|(name, value)| name == column && value.is_finite()) {
            let _ = write!(row, "{}", serde_json::Value::from(*value));
        }
    }
    row.push('\n');
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(names: &[(&str, f64)]) -> Vec<(String, f64)> {
        names.iter().map(|&(name, value)| (name.to_owned(), value)).collect()
    }

    #[test]
    fn logs_that_were_cut_back_and_written_again_are_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        let mut logs = Logs::open(folder.path(), LogLengths::default()).unwrap();
        logs.metrics(1, 0, &figures(&[("train_loss", 0.1)])).unwrap();
        let at = logs.lengths().unwrap();
        let rest = |logs: &mut Logs| {
            logs.metrics(2, 0, &figures(&[("train_loss", 0.3)])).unwrap();
            logs.metrics(2, 0, &figures(&[("val_loss", f64::NAN), ("val_kl", 2.0)])).unwrap();
            logs.metrics(3, 1, &figures(&[("train_loss", 1e-9)])).unwrap();
        };
        rest(&mut logs);
        let (whole, csv) = (read("metrics.jsonl"), read("metrics.csv"));
        // A kill in the middle of a line.
        fs::write(folder.path().join("metrics.jsonl"), &whole[..whole.len() - 7]).unwrap();
        let mut logs = Logs::open(folder.path(), at).unwrap();
        assert_eq!(read("metrics.csv"), "step,epoch,train_loss\n1,0,0.1\n");
        rest(&mut logs);
        assert_eq!(read("metrics.jsonl"), whole);
        assert_eq!(read("metrics.csv"), csv);
        assert_eq!(whole.lines().nth(2).unwrap(), r#"{"step":2,"epoch":0,"val_loss":null,"val_kl":2.0}"#);
        assert_eq!(csv.lines().nth(3).unwrap(), "2,0,,2.0,");
    }

    #[test]
    fn a_log_that_someone_cut_goes_on_behind_its_last_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut logs = Logs::open(folder.path(), LogLengths::default()).unwrap();
        for step in 1..4 {
            logs.metrics(step, 0, &figures(&[("train_loss", 0.5)])).unwrap();
        }
        let at = logs.lengths().unwrap();
        assert!(logs.warnings.is_empty());
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 5]).unwrap();
        let mut logs = Logs::open(folder.path(), at).unwrap();
        assert!(logs.warnings[0].contains("metrics.jsonl"), "{:?}", logs.warnings);
        logs.metrics(4, 0, &figures(&[("train_loss", 0.5)])).unwrap();
        let steps: Vec<_> =
            fs::read_to_string(&path).unwrap().lines().map(|line| line[..9].to_owned()).collect();
        assert_eq!(steps, ["{\"step\":1", "{\"step\":2", "{\"step\":4"]);
    }
}
