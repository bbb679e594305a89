//! A map that is cheap to copy: a copy shares with the original all that neither of the two changes afterwards
//! (persistent, in the sense of Driscoll, Sarnak, Sleator and Tarjan 1989).
//!
//! A hash table with chaining, whose buckets stand in chunks; a chunk or a bucket that two maps share is copied before it is
//! changed. What is in it is unknown here.

use std::sync::Arc;

use crate::hash::KeyedHash;

/// Most entries per bucket, on average. With more a search would take longer than the hash, with fewer a copy of the
/// map longer than one of a bucket.
const LOAD: usize = 4;
/// Buckets of one chunk: as many as there are chunks where there are a thousand entries, so that a change copies as little
/// as may be.
const CHUNK: usize = 16;

/// What entries are found by.
pub(crate) trait Key: Copy + Eq {
    /// A number whose lowest bits spread keys evenly.
    fn spread(self, hash: KeyedHash) -> u64;
}

/// The entries of one bucket, in no order.
type Bucket<K, V> = Arc<[(K, V)]>;
type Chunk<K, V> = Arc<[Bucket<K, V>; CHUNK]>;

/// Values by key.
#[derive(Clone, Debug)]
pub(crate) struct PersistentMap<K, V> {
    /// A power of two.
    chunks: Box<[Chunk<K, V>]>,
    len: usize,
    hash: KeyedHash,
}

impl<K: Key, V: Clone> PersistentMap<K, V> {
    /// An empty map.
    pub(crate) fn new(hash: KeyedHash) -> Self {
        Self::with_chunks(1, hash)
    }

    fn with_chunks(count: usize, hash: KeyedHash) -> Self {
        let chunk: Chunk<K, V> = Arc::new(core::array::from_fn(|_| Arc::default()));
        PersistentMap { chunks: (0..count).map(|_| Arc::clone(&chunk)).collect(), len: 0, hash }
    }

    fn buckets(&self) -> usize {
        CHUNK * self.chunks.len()
    }

    /// The chunk and the bucket of a key.
    #[inline]
    fn place(&self, key: K) -> (usize, usize) {
        let place = key.spread(self.hash) as usize & (self.buckets() - 1);
        (place / CHUNK, place % CHUNK)
    }

    fn bucket_mut(&mut self, (chunk, bucket): (usize, usize)) -> &mut Bucket<K, V> {
        &mut Arc::make_mut(&mut self.chunks[chunk])[bucket]
    }

    /// The value of a key.
    #[inline]
    pub(crate) fn get(&self, key: K) -> Option<&V> {
        let (chunk, bucket) = self.place(key);
        self.chunks[chunk][bucket].iter().find(|(other, _)| *other == key).map(|(_, value)| value)
    }

    /// Gives a key a value, in the place of the one it has, if any.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        let bucket = self.bucket_mut(self.place(key));
        if let Some(at) = bucket.iter().position(|(other, _)| *other == key) {
            Arc::make_mut(bucket)[at].1 = value;
            return;
        }
        *bucket = bucket.iter().cloned().chain([(key, value)]).collect();
        self.len += 1;
        if self.len > LOAD * self.buckets() {
            self.widen();
        }
    }

    /// Forgets a key.
    pub(crate) fn remove(&mut self, key: K) {
        if self.get(key).is_some() {
            let bucket = self.bucket_mut(self.place(key));
            *bucket = bucket.iter().filter(|(other, _)| *other != key).cloned().collect();
            self.len -= 1;
        }
    }

    /// Doubles the chunks.
    fn widen(&mut self) {
        let mut wider = Self::with_chunks(2 * self.chunks.len(), self.hash);
        for (key, value) in self.chunks.iter().flat_map(|chunk| chunk.iter()).flat_map(|bucket| bucket.iter())
        {
            wider.insert(*key, value.clone());
        }
        *self = wider;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    impl Key for u32 {
        /// Badly, so that buckets have several entries.
        fn spread(self, _: KeyedHash) -> u64 {
            u64::from(self / 5)
        }
    }

    type Map = PersistentMap<u32, Arc<u32>>;

    fn map(entries: core::ops::Range<u32>) -> Map {
        let mut map = PersistentMap::new(KeyedHash::new(0, 0));
        entries.for_each(|key| map.insert(key, Arc::new(key)));
        map
    }

    #[test]
    fn it_holds_what_any_map_would_after_the_same_changes() {
        let (mut map, mut model) = (map(0..0), BTreeMap::new());
        for step in 0..2000_u32 {
            let key = step.wrapping_mul(2_654_435_761) >> 24;
            if step % 3 == 0 {
                map.remove(key);
                model.remove(&key);
            } else {
                map.insert(key, Arc::new(step));
                model.insert(key, step);
            }
            assert_eq!(map.get(key).map(|value| **value), model.get(&key).copied());
        }
        let found: BTreeMap<u32, u32> = (0..256).filter_map(|key| Some((key, **map.get(key)?))).collect();
        assert_eq!((found, map.len), (model.clone(), model.len()));
    }

    #[test]
    fn a_copy_does_not_change_with_its_original() {
        let mut map = map(0..100);
        let copy = map.clone();
        map.remove(1);
        map.insert(2, Arc::new(77));
        map.insert(100, Arc::new(100));
        assert_eq!([1, 2, 100].map(|key| copy.get(key).map(|value| **value)), [Some(1), Some(2), None]);
        assert_eq!([1, 2, 100].map(|key| map.get(key).map(|value| **value)), [None, Some(77), Some(100)]);
    }

    #[test]
    fn a_change_copies_one_chunk_and_one_bucket() {
        let changes: [fn(&mut Map); 3] =
            [|map| map.insert(500, Arc::new(0)), |map| map.insert(1000, Arc::new(0)), |map| map.remove(500)];
        for change in changes {
            let mut map = map(0..1000);
            let copy = map.clone();
            change(&mut map);
            let chunks = map.chunks.iter().zip(&copy.chunks);
            let copied: Vec<_> = chunks.filter(|(one, other)| !Arc::ptr_eq(one, other)).collect();
            assert_eq!(copied.len(), 1);
            let buckets = copied[0].0.iter().zip(copied[0].1.iter());
            assert_eq!(buckets.filter(|(one, other)| !Arc::ptr_eq(one, other)).count(), 1);
        }
    }

    #[test]
    fn buckets_grow_in_number_and_not_in_size() {
        let map = map(0..4096);
        assert_eq!(map.buckets(), 4096 / LOAD);
    }
}
