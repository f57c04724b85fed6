//! Random numbers: a generator per record, so that a record depends on nothing that came before it.

use rand::{Rng, RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// The generator of all values.
pub type Random = Xoshiro256PlusPlus;

/// The generator of one iteration of a topic's sequence: the same seed, topic and number make the same values.
pub fn of_iteration(seed: u64, topic: &str, sequence: u32, iteration: u64) -> Random {
    // FNV-1a, whose result is the same on every machine and in every version, unlike that of the standard hasher.
    let name = topic.bytes().chain([b'#']).chain(sequence.to_le_bytes());
    let hash = name.fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    Random::seed_from_u64(mix(mix(seed ^ mix(hash)).wrapping_add(iteration)))
}

/// A seed where none was asked for.
pub fn any_seed() -> u64 {
    rand::rng().random()
}

/// A random UUID, version 4.
pub fn uuid(random: &mut Random) -> String {
    let mut bytes = [0; 16];
    random.fill_bytes(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

// The finisher of splitmix64: neighbours become strangers.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(seed: u64, topic: &str, sequence: u32, iteration: u64) -> u64 {
        of_iteration(seed, topic, sequence, iteration).random()
    }

    #[test]
    fn a_record_depends_on_seed_topic_sequence_and_number_alone() {
        let one = first(1, "a", 0, 5);
        assert_eq!(one, first(1, "a", 0, 5));
        for other in [first(2, "a", 0, 5), first(1, "b", 0, 5), first(1, "a", 1, 5), first(1, "a", 0, 6)] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn uuids_say_that_they_are_random() {
        let text = uuid(&mut of_iteration(7, "t", 0, 0));
        assert_eq!((text.len(), text.as_bytes()[14]), (36, b'4'), "{text}");
        assert!("89ab".contains(text.as_bytes()[19] as char), "{text}");
    }
}
