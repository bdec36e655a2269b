#include "backends/cpu/kernels/attention_head.h"

#include <xmmintrin.h>

#include <algorithm>
#include <cstring>

#include "backends/cpu/kernels/dispatch.h"

// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/kernels/attention_head.cc"
#include "hwy/foreach_target.h"  // must come first
#include "hwy/highway.h"
#include "backends/cpu/kernels/softmax-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tenon::cpu {
namespace HWY_NAMESPACE {

using D = hn::ScalableTag<float>;
using V = hn::VFromD<D>;

constexpr int64_t kLanes = hn::MaxLanes(D());
constexpr int kRows = 6;                                  // rows of a register tile
constexpr int kVectors = HWY_TARGET == HWY_AVX3 ? 4 : 2;  // columns of a tile, in vectors
constexpr int64_t kPanel = kVectors * kLanes;

// Where a tile's finished sums go: row r is multiplied by row_scale[r], then gets addend + r * addend_row, if not null.
struct TileOutput {
  float* to;
  int64_t to_row;
  int64_t columns;  // that exist; the rest of the tile is padding
  const float* row_scale;
  const float* addend;
  int64_t addend_row;
};

// kAdd: there may be an addend; kPart: the last columns may be missing.
template <int kRowCount, int kColumns, bool kAdd, bool kPart>
HWY_INLINE void StoreTile(const V (&sum)[kRowCount][kColumns], const TileOutput& out) {
  const D d;
  const TileOutput o = out;  // a copy cannot be overwritten through o.to
#pragma GCC unroll 8
  for (int r = 0; r < kRowCount; ++r) {
    const V scale = hn::Set(d, o.row_scale[r]);
    float* to = o.to + r * o.to_row;
    const float* addend = kAdd && o.addend ? o.addend + r * o.addend_row : nullptr;
#pragma GCC unroll 4
    for (int c = 0; c < kColumns; ++c) {
      const int64_t rest = o.columns - c * kLanes;
      V v = hn::Mul(sum[r][c], scale);
      if (!kPart || rest >= kLanes) {
        if (kAdd && (!kPart || addend)) v = hn::Add(v, hn::LoadU(d, addend + c * kLanes));
        hn::StoreU(v, d, to + c * kLanes);
      } else if (rest > 0) {
        const auto count = static_cast<size_t>(rest);
        if (kAdd && addend) v = hn::Add(v, LoadPart(d, addend + c * kLanes, count));
        StorePart(v, d, to + c * kLanes, count);
      }
    }
  }
}

// to[r][c] = sum over k of a[r][k] panel[k][c], for kRowCount rows and kColumns vectors.
template <int kRowCount, int kColumns>
HWY_INLINE void MultiplyTile(const float* a, int64_t a_row, const float* panel, int64_t panel_row, int64_t length,
                             const TileOutput& out) {
  const D d;
  V sum[kRowCount][kColumns];
#pragma GCC unroll 8
  for (int r = 0; r < kRowCount; ++r) {
#pragma GCC unroll 4
    for (int c = 0; c < kColumns; ++c) sum[r][c] = hn::Zero(d);
  }
  for (int64_t k = 0; k < length; ++k, panel += panel_row) {
    V b[kColumns];
#pragma GCC unroll 4
    for (int c = 0; c < kColumns; ++c) b[c] = hn::Load(d, panel + c * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < kRowCount; ++r) {
      const V x = hn::Set(d, a[r * a_row + k]);
#pragma GCC unroll 4
      for (int c = 0; c < kColumns; ++c) sum[r][c] = hn::MulAdd(x, b[c], sum[r][c]);
    }
  }
  if (out.columns < kColumns * kLanes) {
    StoreTile<kRowCount, kColumns, true, true>(sum, out);
  } else if (out.addend) {
    StoreTile<kRowCount, kColumns, true, false>(sum, out);
  } else {
    StoreTile<kRowCount, kColumns, false, false>(sum, out);
  }
}

using TileFunction = void (*)(const float*, int64_t, const float*, int64_t, int64_t, const TileOutput&);

template <int kRowCount, int kColumns>
void RunTile(const float* a, int64_t a_row, const float* panel, int64_t panel_row, int64_t length, const TileOutput& out) {
  MultiplyTile<kRowCount, kColumns>(a, a_row, panel, panel_row, length, out);
}

template <int kColumns>
TileFunction TileOf(int64_t rows) {
  constexpr TileFunction kTiles[kRows] = {RunTile<1, kColumns>, RunTile<2, kColumns>, RunTile<3, kColumns>,
                                          RunTile<4, kColumns>, RunTile<5, kColumns>, RunTile<6, kColumns>};
  return kTiles[rows - 1];
}

TileFunction TileFor(int64_t rows, int64_t columns) {
  const int64_t vectors = (columns + kLanes - 1) / kLanes;
#if HWY_TARGET == HWY_AVX3
  if (vectors >= 4) return TileOf<4>(rows);
  if (vectors == 3) return TileOf<3>(rows);
#endif
  return vectors >= 2 ? TileOf<2>(rows) : TileOf<1>(rows);
}

// A block of queries times one packed matrix: out[r][c] for `rows` rows and `columns` columns.
HWY_INLINE void Multiply(const float* a, int64_t a_row, int64_t rows, const float* packed, int64_t columns, int64_t length,
                         TileOutput out) {
  float* const to = out.to;
  const float *const scale = out.row_scale, *const addend = out.addend;
  for (int64_t c = 0; c < columns; c += kPanel, packed += kPanel * length) {
    out.columns = HWY_MIN(kPanel, columns - c);
    for (int64_t r = 0; r < rows; r += kRows) {
      const int64_t count = HWY_MIN(int64_t{kRows}, rows - r);
      out.to = to + r * out.to_row + c;
      out.row_scale = scale + r;
      out.addend = addend ? addend + r * out.addend_row + c : nullptr;
      TileFor(count, out.columns)(a + r * a_row, a_row, packed, kPanel, length, out);
    }
  }
}

HWY_INLINE void TransposeFour(const float* from, int64_t from_row, float* to) {
  __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + from_row);
  __m128 c = _mm_loadu_ps(from + 2 * from_row), d = _mm_loadu_ps(from + 3 * from_row);
  _MM_TRANSPOSE4_PS(a, b, c, d);
  _mm_store_ps(to, a);
  _mm_store_ps(to + kPanel, b);
  _mm_store_ps(to + 2 * kPanel, c);
  _mm_store_ps(to + 3 * kPanel, d);
}

// Up to kPanel keys become columns; missing ones are zero.
void PackKeys(const float* key, int64_t key_row, int64_t count, int64_t depth, float* panel) {
  if (count < kPanel) std::fill_n(panel, depth * kPanel, 0.0f);
  const int64_t even = count / 4 * 4, even_depth = depth / 4 * 4;
  for (int64_t k = 0; k < even; k += 4) {
    for (int64_t i = 0; i < even_depth; i += 4) TransposeFour(key + k * key_row + i, key_row, panel + i * kPanel + k);
    for (int64_t i = even_depth; i < depth; ++i) {
      for (int64_t j = 0; j < 4; ++j) panel[i * kPanel + k + j] = key[(k + j) * key_row + i];
    }
  }
  for (int64_t k = even; k < count; ++k) {
    for (int64_t i = 0; i < depth; ++i) panel[i * kPanel + k] = key[k * key_row + i];
  }
}

void Pack(const AttentionShape& shape, const AttentionHead& head) {
  for (int64_t k = 0; k < shape.keys; k += kPanel) {
    PackKeys(head.key + k * shape.key.row, shape.key.row, HWY_MIN(kPanel, shape.keys - k), shape.depth,
             head.packed_key + k * shape.depth);
  }
  for (int64_t c = 0; c < shape.value_depth; c += kPanel) {
    const int64_t count = HWY_MIN(kPanel, shape.value_depth - c);
    float* to = head.packed_value + c * shape.keys;
    for (int64_t k = 0; k < shape.keys; ++k, to += kPanel) {
      std::memcpy(to, head.value + k * shape.value.row + c, static_cast<size_t>(count) * sizeof(float));
      if (count < kPanel) std::fill_n(to + count, kPanel - count, 0.0f);
    }
  }
}

// Scores become e^(score - maximum); inverse[r] is 1 / their sum.
HWY_INLINE void Soften(const AttentionShape& shape, float* scores, int64_t row_floats, int64_t rows, float* inverse) {
  const auto keys = static_cast<size_t>(shape.keys);
  for (int64_t r = 0; r < rows; ++r, scores += row_floats) {
    inverse[r] = 1 / RowExpSum<true>(scores, scores, keys, RowMaximum(scores, keys));
  }
}

constexpr int64_t kMaxBlock = 96;

void Block(const AttentionShape& shape, const AttentionHead& head, int64_t begin, int64_t end) {
  const int64_t rows = end - begin;
  float factor[kMaxBlock];
  std::fill_n(factor, rows, shape.scale);
  Multiply(
      head.query + begin * shape.query.row, shape.query.row, rows, head.packed_key, shape.keys, shape.depth,
      {head.scores, head.row_floats, 0, factor, head.mask ? head.mask + begin * shape.mask.row : nullptr, shape.mask.row});
  Soften(shape, head.scores, head.row_floats, rows, factor);
  Multiply(head.scores, head.row_floats, rows, head.packed_value, shape.value_depth, shape.keys,
           {head.output + begin * shape.output.row, shape.output.row, 0, factor, nullptr, 0});
}

HWY_INLINE float Dot(const float* a, const float* b, int64_t n) {
  const D d;
  V sum = hn::Zero(d);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) sum = hn::MulAdd(hn::LoadU(d, a + i), hn::LoadU(d, b + i), sum);
  const auto rest = static_cast<size_t>(n - i);
  if (rest != 0) sum = hn::MulAdd(LoadPart(d, a + i, rest), LoadPart(d, b + i, rest), sum);
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

// to = factor * (weights times the rows of value), one vector of columns at a time.
HWY_INLINE void WeightedRows(const float* weights, const float* value, int64_t value_row, int64_t keys, int64_t columns,
                             float factor, float* to) {
  const D d;
  for (int64_t c = 0; c < columns; c += kLanes) {
    const auto count = static_cast<size_t>(HWY_MIN(kLanes, columns - c));
    const bool whole = count == static_cast<size_t>(kLanes);
    V sum = hn::Zero(d);
    for (int64_t k = 0; k < keys; ++k) {
      const float* row = value + k * value_row + c;
      sum = hn::MulAdd(hn::Set(d, weights[k]), whole ? hn::LoadU(d, row) : LoadPart(d, row, count), sum);
    }
    sum = hn::Mul(sum, hn::Set(d, factor));
    if (whole) {
      hn::StoreU(sum, d, to + c);
    } else {
      StorePart(sum, d, to + c, count);
    }
  }
}

void Few(const AttentionShape& shape, const AttentionHead& head) {
  for (int64_t q = 0; q < shape.queries; ++q) {
    const float* query = head.query + q * shape.query.row;
    const float* mask = head.mask ? head.mask + q * shape.mask.row : nullptr;
    for (int64_t k = 0; k < shape.keys; ++k) {
      head.scores[k] = Dot(query, head.key + k * shape.key.row, shape.depth) * shape.scale + (mask ? mask[k] : 0);
    }
    float inverse;
    Soften(shape, head.scores, 0, 1, &inverse);
    WeightedRows(head.scores, head.value, shape.value.row, shape.keys, shape.value_depth, inverse,
                 head.output + q * shape.output.row);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tenon::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tenon::cpu {

AttentionSteps attention_steps() { return {TENON_BEST_TARGET(Pack), TENON_BEST_TARGET(Block), TENON_BEST_TARGET(Few)}; }

}  // namespace tenon::cpu
#endif
