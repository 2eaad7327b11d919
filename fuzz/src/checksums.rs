//! Makes the checksums in a store's file good, so that what stands behind them is reached: no fuzzer guesses a CRC. The
//! layout is that of `store`'s log and snapshots.

const SECTOR: usize = 512;
const GROUP_HEADER: usize = 48;
const BLOCK_HEADER: usize = 12;

/// Repairs all checksums that can be found.
pub(crate) fn repair(bytes: &mut [u8]) {
    if bytes.len() < SECTOR {
        return;
    }
    put(bytes, 12, crc32fast::hash(&bytes[16..SECTOR]));
    if bytes.starts_with(b"maitredL") {
        repair_groups(bytes);
    } else {
        repair_blocks(bytes);
    }
}

fn repair_groups(bytes: &mut [u8]) {
    let salt = bytes[32..40].to_vec();
    let mut at = SECTOR;
    while at + GROUP_HEADER <= bytes.len() {
        let length = number(bytes, at + 32);
        let end = at + GROUP_HEADER + length;
        if end <= bytes.len() {
            put(bytes, at + 36, crc32fast::hash(&bytes[at + GROUP_HEADER..end]));
        }
        put(bytes, at + 4, hash_both(&salt, &bytes[at + 8..at + GROUP_HEADER]));
        at = end.next_multiple_of(SECTOR);
    }
}

fn repair_blocks(bytes: &mut [u8]) {
    let mut at = SECTOR;
    while at + BLOCK_HEADER <= bytes.len() {
        let end = at + BLOCK_HEADER + number(bytes, at);
        if end > bytes.len() {
            return;
        }
        let count = bytes[at + 8..at + BLOCK_HEADER].to_vec();
        put(bytes, at + 4, hash_both(&count, &bytes[at + BLOCK_HEADER..end]));
        at = end;
    }
}

fn hash_both(first: &[u8], second: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(first);
    hasher.update(second);
    hasher.finalize()
}

fn number(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize
}

fn put(bytes: &mut [u8], at: usize, checksum: u32) {
    bytes[at..at + 4].copy_from_slice(&checksum.to_le_bytes());
}
