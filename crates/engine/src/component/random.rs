//! The randomness of a component: the host's secure generator, or a reproducible sequence.

use crate::clock::Random;
use wasmtime::component::HasData;
use wasmtime_wasi::p2::bindings::random as p2;
use wasmtime_wasi::p3::bindings::random as p3;
use weir_types::grants;

/// The generators of one run.
pub(crate) struct Generators {
    random: Random,
    /// Fixed for the run, as the interface demands.
    seed: (u64, u64),
    bytes_max: u64,
}

/// Names [`Generators`] to the linker.
pub(crate) struct WeirRandom;

impl HasData for WeirRandom {
    type Data<'a> = &'a mut Generators;
}

impl Generators {
    pub fn new(random: grants::Random, bytes_max: u64) -> wasmtime::Result<Self> {
        let mut generators = Self { random: Random::new(random), seed: (0, 0), bytes_max };
        generators.seed = (generators.word()?, generators.word()?);
        Ok(generators)
    }

    fn word(&mut self) -> wasmtime::Result<u64> {
        let mut bytes = [0; 8];
        self.random.fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(len)?];
        self.random.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// 0.2 promises exactly `len` bytes, so too many end the program.
    fn exactly(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        if len > self.bytes_max {
            return Err(wasmtime::Error::msg(format!(
                "the program asked for {len} random bytes at once, more than the {} it may",
                self.bytes_max
            )));
        }
        self.bytes(len)
    }
}

impl p2::random::Host for Generators {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.exactly(len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.word()
    }
}

impl p2::insecure::Host for Generators {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.exactly(len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.word()
    }
}

impl p2::insecure_seed::Host for Generators {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok(self.seed)
    }
}

impl p3::random::Host for Generators {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.bytes(len.min(self.bytes_max))
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.word()
    }
}

impl p3::insecure::Host for Generators {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.bytes(len.min(self.bytes_max))
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.word()
    }
}

impl p3::insecure_seed::Host for Generators {
    fn get_insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok(self.seed)
    }
}
