// Work without a single file: `compute [ROUNDS]` prints "name value" lines in milliseconds, and checksums that must
// not change. Shows whether a runtime slows down plain code. About three seconds with the default of one round.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double milliseconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

static uint32_t random_next(uint32_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 17;
  return *state ^= *state << 5;
}

static uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

// The constants of SHA-256, computed: the fractional parts of the cube roots of the first 64 primes.
static uint32_t constants[64];
static void make_constants(void) {
  for (uint32_t candidate = 2, found = 0; found < 64; candidate++) {
    int prime = 1;
    for (uint32_t divisor = 2; divisor * divisor <= candidate; divisor++) prime &= candidate % divisor != 0;
    if (!prime) continue;
    double root = cbrt(candidate);
    constants[found++] = (uint32_t)((root - floor(root)) * 4294967296.0);
  }
}

static void sha256_block(uint32_t state[8], const uint8_t *block) {
  uint32_t w[64], v[8];
  for (int i = 0; i < 16; i++) w[i] = (uint32_t)block[4 * i] << 24 | block[4 * i + 1] << 16 | block[4 * i + 2] << 8 | block[4 * i + 3];
  for (int i = 16; i < 64; i++) {
    uint32_t a = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
    uint32_t b = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
    w[i] = w[i - 16] + a + w[i - 7] + b;
  }
  memcpy(v, state, sizeof v);
  for (int i = 0; i < 64; i++) {
    uint32_t one = v[7] + (rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + constants[i] + w[i];
    uint32_t two = (rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
    memmove(v + 1, v, 7 * sizeof *v);
    v[4] += one;
    v[0] = one + two;
  }
  for (int i = 0; i < 8; i++) state[i] += v[i];
}

static uint32_t hashing(void) {
  static uint8_t data[1 << 20];
  uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  uint32_t seed = 1;
  for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)random_next(&seed);
  for (int pass = 0; pass < 64; pass++)
    for (size_t at = 0; at < sizeof data; at += 64) sha256_block(state, data + at);
  return state[0];
}

struct body { double at[3], speed[3], mass; };

static uint32_t orbits(void) {
  struct body bodies[5];
  uint32_t seed = 7;
  for (int i = 0; i < 5; i++) {
    for (int axis = 0; axis < 3; axis++) {
      bodies[i].at[axis] = (random_next(&seed) % 1000) / 37.0;
      bodies[i].speed[axis] = (random_next(&seed) % 1000) / 9000.0;
    }
    bodies[i].mass = 0.001 * (i + 1);
  }
  for (int step = 0; step < 6000000; step++) {
    for (int i = 0; i < 5; i++)
      for (int j = i + 1; j < 5; j++) {
        double d[3], square = 0.01;
        for (int axis = 0; axis < 3; axis++) square += (d[axis] = bodies[i].at[axis] - bodies[j].at[axis]) * d[axis];
        double pull = 0.001 / (square * sqrt(square));
        for (int axis = 0; axis < 3; axis++) {
          bodies[i].speed[axis] -= d[axis] * bodies[j].mass * pull;
          bodies[j].speed[axis] += d[axis] * bodies[i].mass * pull;
        }
      }
    for (int i = 0; i < 5; i++)
      for (int axis = 0; axis < 3; axis++) bodies[i].at[axis] += 0.001 * bodies[i].speed[axis];
  }
  return (uint32_t)(fabs(bodies[0].at[0]) * 1e6);
}

static int by_value(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

// Sorts through a function pointer, so that indirect calls are part of the picture.
static uint32_t sorting(void) {
  enum { COUNT = 3000000 };
  uint32_t *values = malloc(COUNT * sizeof *values), seed = 3, sum = 0;
  for (int i = 0; i < COUNT; i++) values[i] = random_next(&seed);
  qsort(values, COUNT, sizeof *values, by_value);
  for (int i = 0; i < COUNT; i += 1000) sum = sum * 31 + values[i];
  free(values);
  return sum;
}

// A small stack machine counting primes by trial division: the shape of an interpreter's loop.
static uint32_t interpreting(void) {
  enum { PUSH, LOAD, STORE, ADD, MUL, MOD, LESS, JUMP_IF_ZERO, JUMP, HALT };
  enum { N, D, COUNT, LIMIT = 500000, OUTER = 2, INNER = 8, DIVIDE = 19, NEXT = 28, DONE = 33 };
  static const struct { int operation, argument; } code[] = {
      {PUSH, 2}, {STORE, N},
      /* OUTER */ {LOAD, N}, {PUSH, LIMIT}, {LESS, 0}, {JUMP_IF_ZERO, DONE}, {PUSH, 2}, {STORE, D},
      /* INNER */ {LOAD, N}, {LOAD, D}, {LOAD, D}, {MUL, 0}, {LESS, 0}, {JUMP_IF_ZERO, DIVIDE},
      {LOAD, COUNT}, {PUSH, 1}, {ADD, 0}, {STORE, COUNT}, {JUMP, NEXT},
      /* DIVIDE */ {LOAD, N}, {LOAD, D}, {MOD, 0}, {JUMP_IF_ZERO, NEXT},
      {LOAD, D}, {PUSH, 1}, {ADD, 0}, {STORE, D}, {JUMP, INNER},
      /* NEXT */ {LOAD, N}, {PUSH, 1}, {ADD, 0}, {STORE, N}, {JUMP, OUTER},
      /* DONE */ {HALT, 0}};
  int stack[8], slots[3] = {0}, top = 0;
  for (int pc = 0;;) {
    int operation = code[pc].operation, argument = code[pc].argument;
    pc++;
    switch (operation) {
    case PUSH: stack[top++] = argument; break;
    case LOAD: stack[top++] = slots[argument]; break;
    case STORE: slots[argument] = stack[--top]; break;
    case ADD: top--, stack[top - 1] += stack[top]; break;
    case MUL: top--, stack[top - 1] *= stack[top]; break;
    case MOD: top--, stack[top - 1] %= stack[top]; break;
    case LESS: top--, stack[top - 1] = stack[top - 1] < stack[top]; break;
    case JUMP_IF_ZERO: pc = stack[--top] ? pc : argument; break;
    case JUMP: pc = argument; break;
    default: return slots[COUNT];
    }
  }
}

static void measure(const char *name, uint32_t (*work)(void), int rounds) {
  uint32_t result = 0;
  double start = milliseconds();
  for (int i = 0; i < rounds; i++) result = work();
  double spent = milliseconds() - start;
  printf("%s %.1f\n%s.checksum %u\n", name, spent / rounds, name, result);
}

int main(int argc, char **argv) {
  int rounds = argc > 1 ? atoi(argv[1]) : 1;
  make_constants();
  double start = milliseconds();
  measure("sha256", hashing, rounds);
  measure("nbody", orbits, rounds);
  measure("sort", sorting, rounds);
  measure("interpreter", interpreting, rounds);
  printf("total %.1f\n", (milliseconds() - start) / rounds);
  return 0;
}
