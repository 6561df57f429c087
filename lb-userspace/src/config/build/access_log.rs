//! `accessLog`.

use std::{path::Path, sync::Arc};

use crate::{
    config::{decode::Field, raw},
    model::{AccessLog, Chosen, HeaderMode},
};

/// A relative path starts at `folder`.
pub(super) fn build(raw: &Field<raw::AccessLog>, folder: &Path) -> Option<Arc<AccessLog>> {
    let raw = raw.get()?;
    let default = AccessLog::default();
    let filters = raw.filters.get();
    let ranges = filters.and_then(|filters| filters.status_codes.get()).map(Vec::as_slice);
    let path = raw.file.get().filter(|path| !path.is_empty());
    Some(Arc::new(AccessLog {
        file: path.map(|path| folder.join(path)),
        json: raw.format.get() == Some(&raw::AccessFormat::Json),
        buffering: match raw.buffering.get().map(|n| n.u32()) {
            None | Some(0) => default.buffering,
            Some(lines) => lines,
        },
        status_codes: ranges
            .unwrap_or_default()
            .iter()
            .map(|at| (at.value.0, at.value.1))
            .collect(),
        retry_attempts: filters.is_some_and(|filters| filters.retry_attempts.or(false)),
        min_duration: filters
            .map_or(default.min_duration, |filters| filters.min_duration.or(default.min_duration)),
        internals: raw.add_internals.or(false),
        fields: fields(raw),
        headers: headers(raw),
    }))
}

fn fields(raw: &raw::AccessLog) -> Chosen<bool> {
    let fields = raw.fields.get();
    let keeps = |mode: &raw::FieldMode| *mode == raw::FieldMode::Keep;
    let names = fields.and_then(|fields| fields.names.get());
    Chosen {
        default: fields.and_then(|fields| fields.default.get()).is_none_or(keeps),
        names: names
            .map(|names| names.objects.as_slice())
            .unwrap_or_default()
            .iter()
            .map(|(name, at)| (name.clone(), keeps(&at.value)))
            .collect(),
    }
}

fn headers(raw: &raw::AccessLog) -> Chosen<HeaderMode> {
    let headers = raw.fields.get().and_then(|fields| fields.headers.get());
    let names = headers.and_then(|headers| headers.names.get());
    Chosen {
        default: headers.map_or(HeaderMode::Drop, |headers| headers.default.or_default()),
        names: names
            .map(|names| names.objects.as_slice())
            .unwrap_or_default()
            .iter()
            .map(|(name, at)| (name.to_ascii_lowercase(), at.value))
            .collect(),
    }
}
