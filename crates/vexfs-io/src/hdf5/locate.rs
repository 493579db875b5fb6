//! From a file and the name of a part to the dataset that is meant.

use std::path::{Path, PathBuf};

use hdf5::plist::dataset_create::Layout;
use hdf5::{Dataset, File, Group, LinkType};

use super::failed;
use crate::error::{IoError, Place, Problem, excerpt};
use crate::format::Format;
use crate::input::Input;

/// How many links are looked at for datasets.
const MAX_LINKS: usize = 1000;
/// How many datasets a message names.
const MAX_NAMED: usize = 12;

/// An open dataset whose bytes lie in its own file.
pub(super) struct Located {
    pub(super) dataset: Dataset,
    pub(super) path: PathBuf,
    /// The name for messages.
    pub(super) name: String,
}

/// Opens the dataset that `input` names, or the only one for which `fits` holds.
///
/// # Errors
/// [`Problem::NotAFile`], [`Problem::Hdf5`], [`Problem::Datasets`], [`Problem::Elsewhere`].
pub(super) fn locate(input: Input, fits: impl Fn(&Dataset) -> bool) -> Result<Located, IoError> {
    let Input { name, path, part, .. } = input;
    let fail = |problem| IoError::new(&name, Place::Whole, problem);
    let path = path.ok_or_else(|| fail(Problem::NotAFile { format: Format::Hdf5 }))?;
    let file = open(&path).map_err(|error| failed(&name, "open it", &error))?;
    let dataset = match &part {
        Some(part) => dataset(&file, part).map_err(|error| failed(&name, "open the dataset", &error))?,
        None => {
            let all = datasets(&file);
            let mut fitting = all.iter().filter(|(_, dataset)| fits(dataset));
            match (fitting.next(), fitting.next()) {
                (Some((_, dataset)), None) => dataset.clone(),
                _ => {
                    let mut named: Vec<String> =
                        all.iter().take(MAX_NAMED).map(|(path, _)| excerpt(path)).collect();
                    if all.len() > MAX_NAMED {
                        named.push("…".to_owned());
                    }
                    return Err(fail(Problem::Datasets { found: named.join(", ") }));
                }
            }
        }
    };
    if dataset.filename() != file.filename() {
        return Err(fail(Problem::Elsewhere { what: "the dataset is a link into another file" }));
    }
    let created =
        dataset.dcpl().map_err(|error| failed(&name, "read the properties of the dataset", &error))?;
    let external =
        created.get_external().map_err(|error| failed(&name, "read where the data lies", &error))?;
    if !external.is_empty() {
        return Err(fail(Problem::Elsewhere { what: "the data lies in other files" }));
    }
    if matches!(dataset.layout(), Layout::Virtual) {
        return Err(fail(Problem::Elsewhere { what: "the dataset is a view of others" }));
    }
    Ok(Located { dataset, path, name })
}

/// Opens a file for reading; one on a filesystem without locks, too.
fn open(path: &Path) -> hdf5::Result<File> {
    File::with_options().open_as(path, hdf5::OpenMode::Read)
}

/// Opens the dataset at `part`, unless the path to it leaves the file.
fn dataset(file: &File, part: &str) -> hdf5::Result<Dataset> {
    let mut group: Group = file.group("/")?;
    let mut names = part.split('/').filter(|name| !name.is_empty()).peekable();
    while let Some(name) = names.next() {
        let mut link = None;
        group.iter_visit_default(|found, info| {
            if found == name {
                link = Some(info.link_type);
            }
            Ok(())
        })?;
        match link {
            None => return Err(format!("there is no `{}`", excerpt(name)).into()),
            Some(LinkType::External) => {
                return Err(format!("`{}` is a link into another file", excerpt(name)).into());
            }
            Some(LinkType::Hard | LinkType::Soft) => {}
        }
        if names.peek().is_none() {
            return group.dataset(name);
        }
        group = group.group(name)?;
    }
    Err("the path names no dataset".into())
}

/// Datasets of a file with their paths, those that lie in it, each once, in the order of their names.
fn datasets(file: &File) -> Vec<(String, Dataset)> {
    let mut found = Vec::new();
    let (mut links, mut seen) = (0, Vec::new());
    let mut groups: Vec<(String, Group)> =
        file.group("/").map(|root| (String::new(), root)).into_iter().collect();
    while let Some((path, group)) = groups.pop() {
        let mut names = Vec::new();
        let visited = group.iter_visit_default(|name, info| {
            links += 1;
            if links > MAX_LINKS {
                return Err("too many links".into());
            }
            if info.link_type == LinkType::Hard {
                names.push(name.to_owned());
            }
            Ok(())
        });
        // From the last to the first, so that groups come off the stack in the order of their names.
        for name in names.into_iter().rev() {
            let Ok(info) = group.loc_info_by_name(&name) else { continue };
            if seen.contains(&info.token) {
                continue;
            }
            seen.push(info.token);
            let path = format!("{path}/{name}");
            if let Ok(dataset) = group.dataset(&name) {
                found.push((path, dataset));
            } else if let Ok(group) = group.group(&name) {
                groups.push((path, group));
            }
        }
        if visited.is_err() {
            break;
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found
}
