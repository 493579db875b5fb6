//! Damage that was met while queries were answered; each batch of queries meets it again, and it is told once.

use anyhow::bail;
use vexfs_cli::Report;
use vexfs_fs::search::Answer;

use crate::place::Place;

/// What was met so far, by place.
pub(crate) struct Damage<'a> {
    places: &'a [Place],
    is_told: bool,
    rows: Vec<u64>,
}

impl<'a> Damage<'a> {
    pub(crate) fn new(places: &'a [Place]) -> Self {
        Self { places, is_told: false, rows: vec![0; places.len()] }
    }

    /// Takes note of the damage that the answers of the places name, and tells it the first time.
    pub(crate) fn tell(&mut self, answers: &[Answer], report: &Report) {
        for (rows, answer) in self.rows.iter_mut().zip(answers) {
            *rows = answer.damaged_rows.max(*rows);
        }
        if std::mem::replace(&mut self.is_told, true) {
            return;
        }
        for (place, answer) in self.places.iter().zip(answers) {
            for (row, reason) in &answer.damaged {
                report.warning(format!("{} was not compared: {reason}", place.row(*row)));
            }
            if answer.damaged_rows > answer.damaged.len() as u64 {
                report
                    .warning(format!("and {} rows more", answer.damaged_rows - answer.damaged.len() as u64));
            }
            for damage in &answer.survived {
                report
                    .warning(format!("{damage}; its rows agree with their own checksums and were compared"));
            }
        }
    }

    /// Fails if the answers may lack something. `unnamed` neighbours were left out.
    pub(crate) fn finish(self, unnamed: u64) -> anyhow::Result<()> {
        if unnamed > 0 {
            bail!(
                "{unnamed} neighbours are left out because their ids, keys or payload are damaged; run fsck.vexfs"
            );
        }
        match self.places.iter().map(|place| place.undecided).sum() {
            0_u64 => {}
            1 => bail!("the payload of 1 row is damaged, and nobody knows whether it fulfils the filter"),
            n => bail!("the payload of {n} rows is damaged, and nobody knows whether they fulfil the filter"),
        }
        match self.rows.iter().sum() {
            0_u64 => Ok(()),
            1 => bail!("1 row is damaged and was not compared; the answer holds what is intact"),
            n => bail!("{n} rows are damaged and were not compared; the answer holds what is intact"),
        }
    }
}
