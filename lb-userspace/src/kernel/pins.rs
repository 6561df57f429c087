//! Typed handles of pinned maps.

use aya::{
    Pod,
    maps::{Array, HashMap, Map, MapData, PerCpuArray},
};

use super::{
    error::{KernelError as E, Result},
    paths::LayoutPaths,
};

/// The map pinned as `name`.
pub(super) fn data(paths: &LayoutPaths, name: &str) -> Result<MapData> {
    MapData::from_pin(paths.map(name)).map_err(E::aya_map(name, "opening its pin"))
}

/// A pinned array.
pub(super) fn array<V: Pod>(paths: &LayoutPaths, name: &str) -> Result<Array<MapData, V>> {
    Map::from_map_data(data(paths, name)?)
        .and_then(Array::try_from)
        .map_err(E::aya_map(name, "opening its pin"))
}

/// A pinned per-CPU array.
pub(super) fn per_cpu<V: Pod>(paths: &LayoutPaths, name: &str) -> Result<PerCpuArray<MapData, V>> {
    Map::from_map_data(data(paths, name)?)
        .and_then(PerCpuArray::try_from)
        .map_err(E::aya_map(name, "opening its pin"))
}

/// A pinned hash map.
pub(super) fn hash<K: Pod, V: Pod>(
    paths: &LayoutPaths,
    name: &str,
) -> Result<HashMap<MapData, K, V>> {
    Map::from_map_data(data(paths, name)?)
        .and_then(HashMap::try_from)
        .map_err(E::aya_map(name, "opening its pin"))
}
