//! What the engine is told before it compiles: the settings that are part of compiled code, and how instances are made.
//! Programs with the same recipe share an engine, and with it the pool that their instances come from.

use std::hash::{Hash, Hasher};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};
use weir_types::Digest;
use weir_types::limits::Limits;

/// Instances of a pool at the same time at most. A call that finds none free waits for one.
pub(crate) const INSTANCES_MAX: u32 = 64;
/// Memories and tables of one pooled instance at most: a lifted program has its own and the shim's.
const PARTS_MAX: u32 = 8;
/// Bytes of a pooled memory that stay mapped between calls: what most calls touch is then there without a fault. Only
/// pages that were touched are put back, where the kernel can tell (`PAGEMAP_SCAN`).
const KEPT_BYTES: usize = 1 << 20;
/// Bytes of stack beyond the program's own that the host needs for its calls.
const HOST_STACK_BYTES: u64 = 2 << 20;

/// Which code is compiled in beside the program's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Metering {
    /// Counts fuel.
    pub fuel: bool,
    /// Can be interrupted: for a limit on time, or because others run on the same thread.
    pub epoch: bool,
}

impl Metering {
    /// What `limits` ask for.
    pub fn of(limits: &Limits) -> Self {
        Self { fuel: limits.fuel_max.is_some(), epoch: limits.time_max.is_some() || limits.interruptible }
    }
}

/// What is compiled, and where its instances come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A core module.
    Module,
    /// A component that is a command, or whose instances are kept.
    Component,
    /// A component with functions, each call of which has an instance from a pool.
    Function,
}

/// Everything that makes one engine differ from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Recipe {
    pub kind: Kind,
    pub metering: Metering,
    /// Asynchronous functions of the component model: every call is dearer with them.
    pub concurrent: bool,
    /// Bytes of a program's stack.
    pub stack_max: u64,
}

impl Recipe {
    /// What a program of `kind` under `limits` needs.
    pub fn new(kind: Kind, limits: &Limits) -> Self {
        Self { kind, metering: Metering::of(limits), concurrent: false, stack_max: limits.stack_max }
    }

    /// The same with asynchronous functions.
    pub fn concurrent(self) -> Self {
        Self { concurrent: true, ..self }
    }

    /// The engine's settings.
    pub fn config(&self) -> Config {
        let mut config = Config::new();
        config
            .cranelift_opt_level(OptLevel::Speed)
            .concurrency_support(self.concurrent)
            .consume_fuel(self.metering.fuel)
            .epoch_interruption(self.metering.epoch)
            .max_wasm_stack(self.stack_max as usize)
            .async_stack_size(self.stack_max.saturating_add(HOST_STACK_BYTES) as usize);
        if self.kind != Kind::Module {
            config
                .wasm_component_model_async(self.concurrent)
                .wasm_component_model_map(true)
                .wasm_component_model_fixed_length_lists(true);
        }
        if self.kind == Kind::Function {
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
        }
        config
    }

    /// The digest under which compiled code is kept: same engine, settings, program and variant, same code.
    pub fn key(&self, engine: &Engine, program: &Digest, variant: &[u8]) -> Digest {
        let mut feed = Feed(blake3::Hasher::new());
        feed.write(b"weir-code-2");
        engine.precompile_compatibility_hash().hash(&mut feed);
        (self.kind, self.metering, self.concurrent).hash(&mut feed);
        feed.write(&program.0);
        feed.write(variant);
        Digest(*feed.0.finalize().as_bytes())
    }
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(INSTANCES_MAX)
        .total_stacks(INSTANCES_MAX)
        .total_core_instances(INSTANCES_MAX * PARTS_MAX)
        .total_memories(INSTANCES_MAX * 2)
        .total_tables(INSTANCES_MAX * PARTS_MAX)
        .max_memories_per_component(PARTS_MAX)
        .max_memories_per_module(PARTS_MAX)
        .max_tables_per_component(PARTS_MAX * 4)
        .max_tables_per_module(PARTS_MAX)
        .table_elements(1 << 18)
        .max_core_instance_size(1 << 20)
        .max_component_instance_size(1 << 20)
        .linear_memory_keep_resident(KEPT_BYTES)
        .table_keep_resident(1 << 16)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Hashes what the engine only gives to a `Hasher`.
struct Feed(blake3::Hasher);

impl Hasher for Feed {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}
