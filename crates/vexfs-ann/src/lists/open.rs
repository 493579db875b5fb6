//! An index of lists that was opened.

use std::ops::Range;
use std::sync::OnceLock;

use zerocopy::FromBytes;

use super::groups::Groups;
use super::layout::{
    CENTRES, CENTROIDS, CODEBOOKS, DIRECTORY, GIANTS, GROUPS, LISTS, List, MEAN, Place, REACH, Shape, TURN,
};
use super::params::{Codes, Params};
use super::space::{Space, Turn};
use super::{search, verify};
use crate::index::image::{Header, Image, Section};
use crate::index::{Effort, Index, IndexError, Kind, Search, SearchStats};
use crate::quant::hadamard::Rotation;
use crate::quant::opq;
use crate::quant::pq::Codebooks;
use crate::{Metric, TopK};

/// Lists probed when nobody says how many: where data has some structure, enough for a recall of 0.95.
const DEFAULT_NPROBE: usize = 16;

/// Bytes of a section that are asked for when an image is opened, at most: all of it, unless lists are very many.
const MOST_EXPECTED: u64 = 1 << 20;

/// Inverted lists that were opened.
pub(super) struct Lists<'a> {
    pub(super) header: Header,
    pub(super) params: Params,
    pub(super) space: Space,
    centroids: Section<'a>,
    /// If lists are in groups.
    pub(super) groups: Option<Groups<'a>>,
    directory: Section<'a>,
    lists: Section<'a>,
    giants: Section<'a>,
    codebooks: Option<Section<'a>>,
    codewords: OnceLock<Codebooks>,
}

/// Opens the image: reads its parameters and the mean of the rows.
pub(crate) fn open<'a>(image: &Image<'a>) -> Result<Box<dyn Index + 'a>, IndexError> {
    let header = image.header().clone();
    let params = Params::of(&header)?;
    if header.metric == Metric::Hamming {
        return Err(IndexError::Unknown { what: "bits in inverted lists".to_owned() });
    }
    for id in [MEAN, CENTROIDS, CENTRES, GROUPS, REACH, DIRECTORY] {
        // Some are there only with groups; what must be there is looked for below.
        if let Ok(section) = image.section(id) {
            section.expect(std::iter::once(0..section.len().min(MOST_EXPECTED)));
        }
    }
    let dim = header.dim;
    let mean_len = if header.metric == Metric::InnerProduct { 0 } else { 4 * dim as u64 };
    let mean = floats(image.section(MEAN)?.expect_len(Some(mean_len))?, "the mean of the rows")?;
    let turn = turn(image, &params, dim)?;
    let centroids = Shape::centroids(params.nlist, dim).bytes();
    let directory = (params.nlist as u64 + 1) * size_of::<Place>() as u64;
    Ok(Box::new(Lists {
        centroids: image.section(CENTROIDS)?.expect_len(Some(centroids))?,
        groups: Groups::open(image, &params, dim)?,
        directory: image.section(DIRECTORY)?.expect_len(Some(directory))?,
        lists: image.section(LISTS)?,
        codebooks: match params.codes {
            Codes::Pq(shape) => {
                let len = 4 * shape.ksub() as u64 * dim as u64;
                Some(image.section(CODEBOOKS)?.expect_len(Some(len))?)
            }
            _ => None,
        },
        codewords: OnceLock::new(),
        giants: image.section(GIANTS)?.expect_len(Some(4 * params.giants as u64))?,
        space: Space { metric: header.metric, exponent: params.exponent, mean, turn },
        header,
        params,
    }))
}

/// The rotation.
fn turn(image: &Image<'_>, params: &Params, dim: usize) -> Result<Turn, IndexError> {
    if params.codes == Codes::Rabitq {
        let len = Rotation::sign_bytes(dim) as u64;
        let signs = image.section(TURN)?.expect_len(Some(len))?;
        return Ok(Turn::Random(Rotation::new(dim, signs.bytes(0..len)?)));
    }
    if params.opq {
        let section = image.section(TURN)?.expect_len(Some(4 * opq::Rotation::len(dim) as u64))?;
        return Ok(Turn::Learned(opq::Rotation::new(dim, floats(section, "a number of the rotation")?)));
    }
    Ok(Turn::None)
}

/// The numbers of a section, f32.
fn floats(section: Section<'_>, name: &str) -> Result<Vec<f32>, IndexError> {
    let bytes = section.bytes(0..section.len())?;
    let values: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    if values.iter().any(|value| !value.is_finite()) {
        return Err(IndexError::damaged(section.offset(), format!("{name} is not finite")));
    }
    Ok(values)
}

impl<'a> Lists<'a> {
    /// The centroids.
    pub(super) fn centroids(&self) -> Result<List<'a>, IndexError> {
        List::read(self.centroids, 0, Shape::centroids(self.params.nlist, self.header.dim))
    }

    /// Where list `list`, less than nlist, begins, and what it has.
    fn place(&self, list: usize) -> Result<(u64, Shape), IndexError> {
        let size = size_of::<Place>() as u64;
        let bytes = self.directory.bytes(list as u64 * size..(list as u64 + 2) * size)?;
        let places = <[Place]>::ref_from_bytes(bytes);
        let [place, next] =
            places.ok().and_then(|places| places.first_chunk::<2>()).ok_or_else(|| self.misplaced(list))?;
        // Without this, lists might lie in each other's place, and looking at all of them take for ever.
        let shape = Shape::list(place.rows.get() as usize, self.header.dim, self.params.codes);
        if place.offset.get().checked_add(shape.bytes()) != Some(next.offset.get()) {
            return Err(self.misplaced(list));
        }
        Ok((place.offset.get(), shape))
    }

    fn misplaced(&self, list: usize) -> IndexError {
        let at = self.directory.offset() + (list * size_of::<Place>()) as u64;
        IndexError::damaged(at, format!("list {list} does not end where the next one begins"))
    }

    /// Number of rows of list `list`.
    pub(super) fn rows_of(&self, list: usize) -> Result<usize, IndexError> {
        Ok(self.place(list)?.1.rows())
    }

    /// List `list`, less than nlist.
    pub(super) fn list(&self, list: usize) -> Result<List<'a>, IndexError> {
        let (offset, shape) = self.place(list)?;
        List::read(self.lists, offset, shape)
    }

    /// Begins to read `lists`, all at once, unless the first is in memory.
    pub(super) fn expect(&self, lists: impl Iterator<Item = u32> + Clone) {
        let entry = size_of::<Place>() as u64;
        self.directory
            .expect(lists.clone().map(|list| u64::from(list) * entry..(u64::from(list) + 2) * entry));
        let place = |list: u32| {
            let (offset, shape) = self.place(list as usize).ok()?;
            Some(offset..offset + shape.bytes())
        };
        self.lists.expect(lists.filter_map(place));
    }

    /// The codewords, of product quantisation: read when they are first asked for.
    pub(super) fn codebooks(&self) -> Result<Option<&Codebooks>, IndexError> {
        let (Some(section), Codes::Pq(shape)) = (self.codebooks, self.params.codes) else { return Ok(None) };
        if let Some(codebooks) = self.codewords.get() {
            return Ok(Some(codebooks));
        }
        let codebooks = Codebooks::new(shape, floats(section, "a codeword")?);
        Ok(Some(self.codewords.get_or_init(|| codebooks)))
    }

    /// The rows that are in no list, by their numbers in the image.
    pub(super) fn giants(&self) -> Result<Vec<u32>, IndexError> {
        let bytes = self.giants.bytes(0..self.giants.len())?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect())
    }

    /// The number in the collection of row `number` of the image.
    pub(super) fn row(&self, number: u32) -> Result<u64, IndexError> {
        let row = self.header.rows.start + u64::from(number);
        if row >= self.header.rows.end {
            return Err(IndexError::damaged(
                self.lists.offset(),
                format!("row {number} of a list does not exist"),
            ));
        }
        Ok(row)
    }

    /// Candidates that are decided by full rows, at most, so that codes cost next to no recall.
    pub(super) fn rerank(&self, k: usize) -> u32 {
        let candidates = match self.params.codes {
            Codes::Sq8 => k.saturating_add(k / 2).saturating_add(14),
            Codes::Sq4 => k.saturating_mul(2).saturating_add(20),
            // Many of them are passed over by their bounds.
            Codes::Rabitq => k.saturating_mul(16).saturating_add(100),
            Codes::Pq(_) => k.saturating_mul(6).saturating_add(40),
        };
        u32::try_from(candidates).unwrap_or(u32::MAX)
    }

    /// The efforts of a single list: only the candidates count.
    fn efforts_of_one(&self, k: usize) -> Vec<Effort> {
        let most = self.header.indexed.min(u64::from(u32::MAX)) as u32;
        let first = u32::try_from(k).unwrap_or(u32::MAX).saturating_mul(2);
        let steps = std::iter::successors(Some(first.max(8)), |rerank| rerank.checked_mul(2));
        let mut efforts: Vec<Effort> =
            steps.take_while(|rerank| *rerank < most).map(|rerank| Effort { effort: 1, rerank }).collect();
        efforts.push(Effort { effort: 1, rerank: most.max(first) });
        efforts
    }
}

impl Index for Lists<'_> {
    fn header(&self) -> &Header {
        &self.header
    }

    fn effort_name(&self) -> &'static str {
        if self.header.kind == Kind::Pq { "" } else { "nprobe" }
    }

    fn efforts(&self, k: usize) -> Vec<Effort> {
        if self.header.kind == Kind::Pq {
            return self.efforts_of_one(k);
        }
        let (most, rerank) = (self.params.nlist.max(1) as u32, self.rerank(k));
        // 1, 2, 3, 4, 6, 8, 12, 16, 24 and so on.
        let steps =
            (0..32).flat_map(|power| [1u32 << power, 3u32.checked_shl(power).unwrap_or(u32::MAX) / 2]);
        let mut probes: Vec<u32> = steps.filter(|probes| (1..most).contains(probes)).collect();
        probes.sort_unstable();
        probes.dedup();
        // What is lost by coarse codes shows when the lists have nearly everything.
        let more = |effort: u32| match self.params.codes {
            Codes::Sq8 | Codes::Sq4 | Codes::Rabitq => rerank,
            Codes::Pq(_) => rerank.saturating_add(rerank.saturating_mul(effort.min(192) / 64)),
        };
        let mut efforts: Vec<Effort> =
            probes.into_iter().map(|effort| Effort { effort, rerank: more(effort) }).collect();
        efforts.push(Effort { effort: most, rerank });
        efforts
            .extend([4, 16, 64].map(|times| Effort { effort: most, rerank: rerank.saturating_mul(times) }));
        efforts
    }

    fn default_effort(&self, k: usize) -> Effort {
        Effort { effort: DEFAULT_NPROBE.min(self.params.nlist.max(1)) as u32, rerank: self.rerank(k) }
    }

    fn search(
        &self,
        search: &Search<'_>,
        range: Range<usize>,
        tops: &mut [TopK],
        stats: &mut SearchStats,
    ) -> Result<(), IndexError> {
        search::search(self, search, range, tops, stats)
    }

    fn verify(&self, excluded: Option<&[u64]>, interrupted: &dyn Fn() -> bool) -> Result<(), IndexError> {
        verify::verify(self, excluded, interrupted)
    }
}
