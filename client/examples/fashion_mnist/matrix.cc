#include "fashion_mnist/matrix.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#if defined(__x86_64__)
#define FASHION_AVX 1
#endif

#define FASHION_INLINE __attribute__((always_inline)) inline

namespace fashion {
namespace {

constexpr size_t kPanelColumns = Multiplier::kPanelColumns;
using PanelRow = Multiplier::PanelRow;

// A block of this many terms keeps its part of the panel (24 KiB) in the first-level cache over all the rows of `a`.
constexpr size_t kInnerBlock = 392;

// The input of one kernel call: a block of the inner dimension for one panel of columns.
struct Block {
  const float* a;
  size_t a_row_stride;
  size_t a_inner_stride;
  size_t rows;
  size_t inner;
  const PanelRow* panel;
  PanelRow* sums;  // one per row; holds the partial sums before and after
};

template <size_t Lanes>
struct VectorOf {
  typedef float Type __attribute__((vector_size(Lanes * sizeof(float)), may_alias));
};

// Adds the block's terms to `Rows` rows of sums. The sums stay in registers: everything is unrolled by the indices.
template <size_t Lanes, size_t... Cells>
FASHION_INLINE void AddTile(const Block& block, size_t first_row, std::index_sequence<Cells...>) {
  using Vector = typename VectorOf<Lanes>::Type;
  constexpr size_t kVectors = kPanelColumns / Lanes;  // per row
  const size_t inner = block.inner;
  const size_t a_row_stride = block.a_row_stride;
  const size_t a_inner_stride = block.a_inner_stride;
  const float* a = block.a + first_row * a_row_stride;
  const auto* b = reinterpret_cast<const Vector*>(block.panel);
  auto* sums = reinterpret_cast<Vector*>(block.sums + first_row);
  Vector sum[] = {sums[Cells]...};
  for (size_t k = 0; k < inner; ++k, a += a_inner_stride, b += kVectors) {
    ((sum[Cells] += a[Cells / kVectors * a_row_stride] * b[Cells % kVectors]), ...);
  }
  ((sums[Cells] = sum[Cells]), ...);
}

// Whole tiles of `Rows` rows, then the rest in tiles of half the height.
template <size_t Lanes, size_t Rows>
FASHION_INLINE void AddRows(const Block& block, size_t row) {
  constexpr size_t kVectors = kPanelColumns / Lanes;
  for (; row + Rows <= block.rows; row += Rows) {
    AddTile<Lanes>(block, row, std::make_index_sequence<Rows * kVectors>());
  }
  if constexpr (Rows > 1) AddRows<Lanes, Rows / 2>(block, row);
}

// Tile heights: as many sums as the vector registers hold beside one row of the panel and one element of `a`.
void AddBlockPortable(const Block& block) { AddRows<4, 2>(block, 0); }

#ifdef FASHION_AVX
__attribute__((target("avx2,fma"))) void AddBlockAvx2(const Block& block) { AddRows<8, 6>(block, 0); }
__attribute__((target("avx512f"))) void AddBlockAvx512(const Block& block) { AddRows<16, 16>(block, 0); }
#endif

using AddBlock = void (*)(const Block&);

AddBlock ChooseAddBlock() {
#ifdef FASHION_AVX
  if (__builtin_cpu_supports("avx512f")) return AddBlockAvx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return AddBlockAvx2;
#endif
  return AddBlockPortable;
}

}  // namespace

void Multiplier::Multiply(const ConstMatrix& a, const ConstMatrix& b, std::span<const float> bias, const Matrix& out) {
  static const AddBlock add_block = ChooseAddBlock();
  assert(a.columns == b.rows && out.rows == a.rows && out.columns == b.columns);
  assert(bias.empty() || bias.size() == b.columns);
  panel_.resize(std::min(b.rows, kInnerBlock));
  sums_.resize(a.rows);
  for (size_t column = 0; column < b.columns; column += kPanelColumns) {
    const size_t width = std::min(kPanelColumns, b.columns - column);
    PanelRow start{};
    if (!bias.empty()) std::copy_n(bias.data() + column, width, start.value);
    std::fill(sums_.begin(), sums_.end(), start);
    for (size_t first = 0; first < b.rows; first += kInnerBlock) {
      const size_t inner = std::min(kInnerBlock, b.rows - first);
      for (size_t k = 0; k < inner; ++k) {
        const float* from = b.data + (first + k) * b.row_stride + column * b.column_stride;
        PanelRow& to = panel_[k];
        if (width == kPanelColumns && b.column_stride == 1) {
          std::memcpy(to.value, from, sizeof(to.value));
          continue;
        }
        to = PanelRow{};
        for (size_t j = 0; j < width; ++j) to.value[j] = from[j * b.column_stride];
      }
      add_block({a.data + first * a.column_stride, a.row_stride, a.column_stride, a.rows, inner, panel_.data(),
                 sums_.data()});
    }
    for (size_t row = 0; row < out.rows; ++row) {
      float* to = out.row(row) + column;
      if (width == kPanelColumns) {
        std::memcpy(to, sums_[row].value, sizeof(PanelRow));  // a size known here is a few moves, not a call
      } else {
        std::copy_n(sums_[row].value, width, to);
      }
    }
  }
}

}  // namespace fashion
