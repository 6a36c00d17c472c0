// The start file of WASI commands. Debian's wasi-libc of 2022 does not call the constructors here, so the linker wraps
// every export with them, cabi_realloc among them, and a component then traps with "cannot leave component instance".
extern void __wasm_call_ctors(void);
extern void __wasm_call_dtors(void);
extern int __main_void(void);
extern _Noreturn void __wasi_proc_exit(int);

__attribute__((export_name("_start"))) void _start(void) {
  static volatile int started;
  if (started) __builtin_trap();
  started = 1;
  __wasm_call_ctors();
  int code = __main_void();
  __wasm_call_dtors();
  if (code) __wasi_proc_exit(code);
}
