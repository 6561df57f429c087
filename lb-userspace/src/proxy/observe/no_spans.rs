//! Spans in a build without the feature `otel`: nothing at all, at no cost. `tracing` is refused by
//! the configuration.

use std::{io, sync::Arc, time::Duration};

use super::{Entry, EntryTable, Exchange, Route, Worker};
use crate::model::Tracing;

/// Of an exchange: none.
#[derive(Default)]
pub(crate) struct Current {}

/// Of a worker: none.
#[derive(Default)]
pub(crate) struct Batch;

impl Batch {
    pub(crate) fn flush(&mut self) {}
}

/// Where spans go: there are none of these.
#[derive(Debug)]
pub(crate) enum Spans {}

/// What became of spans.
pub(crate) struct Reading {
    pub(crate) exported: u64,
    pub(crate) dropped: [(&'static str, u64); 0],
    pub(crate) failures: u64,
}

impl Spans {
    pub(crate) fn start(_: &Arc<Tracing>, _: Option<&Self>) -> io::Result<Self> {
        Err(io::Error::other("this lb is built without spans"))
    }

    pub(crate) fn settings(&self) -> &Arc<Tracing> {
        match *self {}
    }

    pub(crate) fn sync(&self, _: Duration) {
        match *self {}
    }

    pub(crate) fn reading(&self) -> Reading {
        match *self {}
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        match *self {}
    }
}

pub(crate) fn begin(_: &Entry, _: &EntryTable, _: Option<&Route>, _: &mut Exchange) {}

pub(crate) fn asks(_: &mut Exchange) {}

pub(crate) fn asked(_: &mut Exchange, _: Option<&'static str>) {}

pub(super) fn finished(_: &Worker, _: Option<&Route>, _: &Exchange) {}
