// Element-wise reductions c = a (op) b, with versions for the processors at hand chosen at load time.
// A NaN in either operand stays a NaN under max and min: a lost NaN would hide a broken step. bfloat16 adds in float32 and rounds to even.
#pragma once

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

#define PG_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#ifndef __x86_64__
#undef PG_CLONES
#define PG_CLONES
#endif

namespace {

enum Type { kF32, kBF16, kF64, kI64, kU8 };
enum Op { kSum, kMax, kMin, kXor };

struct BadArgument : std::runtime_error { using std::runtime_error::runtime_error; };

float widen(uint16_t x) { uint32_t u = uint32_t(x) << 16; float f; memcpy(&f, &u, 4); return f; }
uint16_t narrow(float f) {
  uint32_t u; memcpy(&u, &f, 4);
  return f != f ? uint16_t(u >> 16 | 0x40) : uint16_t((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

#define PG_KERNEL(NAME, T, EXPRESSION) \
  PG_CLONES void NAME(void* c_, const void* a_, const void* b_, size_t n) { \
    T* c = static_cast<T*>(c_); const T* a = static_cast<const T*>(a_); const T* b = static_cast<const T*>(b_); \
    for (size_t i = 0; i < n; i++) { T x = a[i], y = b[i]; c[i] = EXPRESSION; } }
#define PG_ORDERED(NAME, T) \
  PG_KERNEL(NAME##_max, T, (x > y || x != x) ? x : y) \
  PG_KERNEL(NAME##_min, T, (x < y || x != x) ? x : y)
PG_KERNEL(f32_sum, float, x + y)
PG_KERNEL(f64_sum, double, x + y)
PG_KERNEL(i64_sum, uint64_t, x + y)
PG_KERNEL(bf16_sum, uint16_t, narrow(widen(x) + widen(y)))
PG_KERNEL(bf16_max, uint16_t, (widen(x) > widen(y) || widen(x) != widen(x)) ? x : y)
PG_KERNEL(bf16_min, uint16_t, (widen(x) < widen(y) || widen(x) != widen(x)) ? x : y)
PG_ORDERED(f32, float)
PG_ORDERED(f64, double)
PG_ORDERED(i64, int64_t)
PG_ORDERED(u8, uint8_t)
PG_KERNEL(i64_xor, uint64_t, x ^ y)
PG_KERNEL(u8_xor, uint8_t, x ^ y)

using Reduce = void (*)(void*, const void*, const void*, size_t);
constexpr Reduce kReduce[5][4] = {
    {f32_sum, f32_max, f32_min, nullptr}, {bf16_sum, bf16_max, bf16_min, nullptr}, {f64_sum, f64_max, f64_min, nullptr},
    {i64_sum, i64_max, i64_min, i64_xor}, {nullptr, u8_max, u8_min, u8_xor}};
constexpr size_t kSize[5] = {4, 2, 8, 8, 1};

size_t sizeOf(int type) {
  if (type < 0 || type > kU8) throw BadArgument("unknown element type " + std::to_string(type));
  return kSize[type];
}
Reduce reduceOf(int type, int op) {
  sizeOf(type);
  if (op < 0 || op > kXor || !kReduce[type][op]) throw BadArgument("this reduction is not defined for this element type");
  return kReduce[type][op];
}

}  // namespace
