//! Tests of the store as a whole.

mod api;
mod faults;
mod history;
mod kill;
mod power;
mod properties;
mod snapshots;

use std::sync::Arc;

use bytes::Bytes;

use crate::{Key, Transaction, Write};

fn key(key: &str) -> Key {
    Arc::from(key)
}

fn put(key: &str, value: impl Into<Bytes>) -> Transaction {
    Transaction { expect: Vec::new(), writes: vec![Write::Put(Arc::from(key), value.into())] }
}

fn delete(key: &str) -> Transaction {
    Transaction { expect: Vec::new(), writes: vec![Write::Delete(Arc::from(key))] }
}
