//! `-L` and `-U`: how the filesystem is called.

use serde::Serialize;
use uuid::Uuid;
use vexfs_cli::{Interrupted, Report, signals};
use vexfs_fs::{BlockSource, Volume};

use crate::args::{Args, NewUuid};

/// Label and UUID after the change, as far as they were to be changed.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Identity {
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uuid: Option<String>,
}

/// Changes label and UUID, or says that it would.
pub(crate) fn change(args: &Args, volume: &mut Volume, report: &Report) -> anyhow::Result<Identity> {
    let uuid = args.uuid.map(|uuid| match uuid {
        NewUuid::Random => Uuid::new_v4(),
        NewUuid::Given(uuid) => uuid,
    });
    let changed = Identity { label: args.label.clone(), uuid: uuid.map(|uuid| uuid.to_string()) };
    let quoted = |label: &str| if label.is_empty() { "none".to_owned() } else { format!("'{label}'") };
    let verb = if args.dry_run { "would become" } else { "becomes" };
    if let Some(label) = &args.label {
        let old = volume.superblock().label();
        report.message(format!("label {} {verb} {}", quoted(&old), quoted(label)));
    }
    if let Some(uuid) = uuid {
        let random = args.uuid == Some(NewUuid::Random) && args.dry_run;
        let new = if random { "a random one".to_owned() } else { uuid.to_string() };
        report.message(format!("UUID {} {verb} {new}", Uuid::from_bytes(volume.superblock().uuid)));
    }
    if !args.dry_run && (args.label.is_some() || uuid.is_some()) {
        if signals::interrupted() {
            return Err(Interrupted::new("nothing was changed").into());
        }
        let mut txn = volume.begin()?;
        txn.set_identity(args.label.as_deref(), uuid.map(Uuid::into_bytes))?;
        txn.commit()?;
    }
    Ok(changed)
}
