// Products of small dense matrices on one core, without a BLAS: all the arithmetic of the models.
//
// Every element of a product is the sum of its terms in index order, at any size and address. So two
// processes on one machine compute the same bits. Machines of different make may differ: a processor
// with fused multiply-add rounds once where another rounds twice.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace fashion {

// A matrix in somebody else's memory; the strides let a transpose be read where it lies.
struct ConstMatrix {
  const float* data;
  size_t rows;
  size_t columns;
  size_t row_stride;
  size_t column_stride = 1;

  ConstMatrix Transposed() const { return {data, columns, rows, column_stride, row_stride}; }
};

// Row-major.
struct Matrix {
  float* data;
  size_t rows;
  size_t columns;

  float* row(size_t index) const { return data + index * columns; }
  operator ConstMatrix() const { return {data, rows, columns, columns}; }
};

// Packs the right factor, one panel of columns at a time, so that the innermost loop reads consecutive cache lines.
// One thread at a time.
class Multiplier {
 public:
  // out = a * b, plus `bias` on every row where it is not empty.
  void Multiply(const ConstMatrix& a, const ConstMatrix& b, std::span<const float> bias, const Matrix& out);

  static constexpr size_t kPanelColumns = 16;  // one cache line of floats
  struct alignas(64) PanelRow {
    float value[kPanelColumns];
  };

 private:
  std::vector<PanelRow> panel_;  // a block of rows of b, a panel of columns wide
  std::vector<PanelRow> sums_;   // the same columns of the product
};

}  // namespace fashion
