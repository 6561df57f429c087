//! The flow table of another layout, read in place by its description alone.

use std::sync::atomic::{AtomicU64, Ordering::Acquire};

use lb_common::maps;

use super::{
    error::{KernelError as E, Result},
    layout::{Layout, MapShape},
    mmap::Mapped,
    paths::LayoutPaths,
    pins,
};

/// Where signatures and flows stand, in bytes.
pub(super) struct Places {
    buckets: u32,
    ways: usize,
    /// From a bucket's signatures to the next one's, and where the first stand.
    sigs: (usize, usize),
    /// As `sigs`.
    flows: (usize, usize),
    /// From a flow to the next one of its bucket.
    flow: usize,
    flow_size: usize,
}

impl Places {
    /// What a description says. Signatures stand before the flows of their bucket or, as in
    /// versions before, in a map of their own.
    ///
    /// # Errors
    /// It contradicts itself.
    pub(super) fn of(layout: &Layout) -> Result<Self, &'static str> {
        const UNSOUND: &str = "their flow table doesn't fit its description";
        let ways = layout.table.ways as usize;
        let flow_size = layout.types.get("Flow").map_or(0, |flow| flow.size as usize);
        let table = layout.maps.get(maps::FLOWS).copied().unwrap_or_default();
        let stride = |shape: &MapShape| shape.value.next_multiple_of(8) as usize;
        let (places, sigs_end, flows_end) = if let Some(sigs) = layout.maps.get(maps::FLOW_SIGS) {
            let flow = stride(&table);
            let places = Self {
                buckets: sigs.entries.min(table.entries / layout.table.ways.max(1)),
                ways,
                sigs: (stride(sigs), 0),
                flows: (flow * ways, 0),
                flow,
                flow_size,
            };
            (places, sigs.value as usize, table.value as usize * ways)
        } else {
            let bucket = layout.types.get("FlowBucket").ok_or(UNSOUND)?;
            let field = |name| bucket.fields.get(name).copied().ok_or(UNSOUND);
            let (sigs, flows) = (field("sigs")?, field("flows")?);
            let places = Self {
                buckets: table.entries,
                ways,
                sigs: (stride(&table), sigs.0 as usize),
                flows: (stride(&table), flows.0 as usize),
                flow: flow_size,
                flow_size,
            };
            (places, table.value.min(sigs.1) as usize, table.value.min(flows.1) as usize)
        };
        let sound = ways > 0
            && places.buckets >= layout.table.buckets()
            && sigs_end >= ways * 4
            && flow_size > 0
            && flows_end >= ways * flow_size;
        if sound { Ok(places) } else { Err(UNSOUND) }
    }
}

/// A flow table whose sizes are known only by their description.
pub(super) struct OldTable {
    places: Places,
    flows: Mapped<AtomicU64>,
    /// Where they are in a map of their own.
    sigs: Option<Mapped<AtomicU64>>,
}

impl OldTable {
    /// Maps the tables under `pins`.
    ///
    /// # Errors
    /// They can't be mapped, or aren't as described.
    pub(super) fn open(pins: &LayoutPaths, layout: &Layout) -> Result<Self> {
        let places = Places::of(layout)
            .map_err(|why| E::Foreign { path: pins.folder().to_owned(), why: why.to_owned() })?;
        let map = |name: &str| {
            let shape = layout.maps.get(name).copied().unwrap_or_default();
            let data = pins::data(pins, name)?;
            Mapped::new(data.fd(), shape.entries * shape.value.div_ceil(8))
                .map_err(E::map(name, "mapping it into memory"))
        };
        let apart = layout.maps.contains_key(maps::FLOW_SIGS);
        Ok(Self {
            places,
            flows: map(maps::FLOWS)?,
            sigs: apart.then(|| map(maps::FLOW_SIGS)).transpose()?,
        })
    }

    /// How many buckets there are.
    pub(super) fn buckets(&self) -> u32 {
        self.places.buckets
    }

    /// The signatures of a bucket.
    pub(super) fn signatures(&self, bucket: u32) -> Vec<u32> {
        let (stride, first) = self.places.sigs;
        let map = self.sigs.as_ref().unwrap_or(&self.flows);
        let bytes = bytes(map, bucket as usize * stride + first, self.places.ways * 4);
        bytes.as_chunks().0.iter().map(|sig| u32::from_ne_bytes(*sig)).collect()
    }

    /// The bytes of a flow.
    pub(super) fn flow(&self, bucket: u32, way: usize) -> Vec<u8> {
        let (stride, first) = self.places.flows;
        let from = bucket as usize * stride + first + way * self.places.flow;
        bytes(&self.flows, from, self.places.flow_size)
    }
}

/// Bytes of a map that programs may be writing.
fn bytes(map: &[AtomicU64], from: usize, len: usize) -> Vec<u8> {
    let words = map.get(from / 8..(from + len).div_ceil(8)).unwrap_or_default();
    let bytes = words.iter().flat_map(|word| word.load(Acquire).to_ne_bytes());
    bytes.skip(from % 8).take(len).collect()
}
