// ParseBatchStream: reads an Arrow IPC stream of one record batch that another program may have written. Every offset
// in it is checked, those of each row too. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "client/ray/api/arrow_column.h"

namespace ray::internal {

constexpr size_t kBatchMetadataBytesMax = size_t{4} << 20;  // of the schema, and of the batch

// The values of a column, in the bytes that were parsed.
struct BatchColumn {
  int64_t length = 0, null_count = 0;
  std::vector<const void*> buffers;  // as the Arrow C data interface has them; null: no row is null
  std::vector<BatchColumn> children;
};

struct ArrowBatch {
  std::vector<ColumnType> types;
  std::vector<BatchColumn> columns;  // as many
  int64_t rows = 0;
};

// `stream` is 64-byte aligned. kProtocolError, with the reason.
raylet::Result<ArrowBatch> ParseBatchStream(std::span<const std::byte> stream);

}  // namespace ray::internal
