// ArrowBatchWriter: turns columns that the Arrow C data interface describes into an Arrow IPC stream of one batch: the
// schema, the batch, and the mark of the end. The columns must stay while the writer is used. Their structure is
// checked, and pointers of theirs are believed, as the interface wants it. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ray/arrow.h>

#include "base/result.h"
#include "client/ray/api/arrow_column.h"

namespace ray::internal {

class ArrowBatchWriter {
 public:
  // kInvalid names the column that cannot be written.
  static raylet::Result<ArrowBatchWriter> Of(const ArrowSchema& schema, const ArrowArray& array);

  size_t bytes() const { return bytes_; }
  void Write(std::span<std::byte> stream) const;  // bytes() of them, 64-byte aligned

 private:
  // A buffer of the batch, and what it is copied from.
  struct Piece {
    enum class Kind { kBytes, kBits, kOffsets };
    Kind kind = Kind::kBytes;
    const void* source = nullptr;
    int64_t first = 0;  // kBits: the first bit. kOffsets: what the first offset becomes 0 by
    int64_t count = 0;  // of bytes, bits or offsets
    size_t width = 1;   // of an offset
    size_t bytes = 0;
    size_t at = 0;  // in the body
  };
  // Some rows of a column.
  struct Slice {
    const ArrowArray& array;
    int64_t first, length;  // counted from the beginning of the buffers
  };

  raylet::Result<ColumnType> TakeType(const ArrowSchema& schema, int depth, size_t& columns);
  raylet::Result<void> TakeColumn(const ColumnType& column, const Slice& slice);
  raylet::Result<void> TakeOffsets(const ColumnType& column, const Slice& slice, int64_t& begin, int64_t& end);
  raylet::Result<void> TakeChild(const ColumnType& column, const ArrowArray* child, int64_t first, int64_t length);
  raylet::Result<int64_t> TakeValidity(const ColumnType& column, const Slice& slice);
  void AddPiece(Piece piece);
  void BuildHead(const std::vector<ColumnType>& columns, int64_t rows);

  static void Copy(const Piece& piece, std::byte* out);

  std::vector<Piece> pieces_;
  std::vector<raylet::arrow_ipc::FieldNode> nodes_;
  std::string head_;  // the schema, and the batch's metadata
  size_t body_bytes_ = 0, bytes_ = 0;
};

}  // namespace ray::internal
