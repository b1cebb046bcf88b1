// A record batch in the store that another program may have written, or a stream that a program takes for one.
#include <cstdlib>
#include <cstring>
#include <vector>

#include "client/ray/api/arrow_batch_reader.h"
#include "client/ray/api/arrow_message.h"
#include "tests/fuzz/fuzz.h"

using namespace ray::internal;

namespace {

// Everything that a consumer may read of the column.
void Visit(const ColumnType& type, const BatchColumn& column) {
  const auto rows = static_cast<size_t>(column.length);
  FUZZ_ASSERT(column.buffers.size() == type.layout.buffers());
  FUZZ_ASSERT(column.children.size() == type.children.size());
  if (column.buffers[0] != nullptr) raylet::fuzz::Touch(column.buffers[0], (rows + 7) / 8);
  size_t used = rows;  // of the child's rows, or of the bytes
  switch (type.layout.kind) {
    case ColumnLayout::Kind::kFixed: raylet::fuzz::Touch(column.buffers[1], rows * type.layout.width); break;
    case ColumnLayout::Kind::kBits: raylet::fuzz::Touch(column.buffers[1], (rows + 7) / 8); break;
    case ColumnLayout::Kind::kBytes:
    case ColumnLayout::Kind::kList: {
      int64_t last = 0;
      if (rows != 0)
        std::memcpy(&last, static_cast<const char*>(column.buffers[1]) + rows * type.layout.width, type.layout.width);
      used = static_cast<size_t>(last);
      if (type.layout.kind == ColumnLayout::Kind::kBytes) raylet::fuzz::Touch(column.buffers[2], used);
      break;
    }
    case ColumnLayout::Kind::kStruct: break;
  }
  for (size_t i = 0; i < column.children.size(); ++i) {
    FUZZ_ASSERT(static_cast<size_t>(column.children[i].length) >= used);
    Visit(type.children[i], column.children[i]);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // As the store aligns it. posix_memalign takes any size, so that the sanitizer sees a read behind the end.
  void* memory = nullptr;
  FUZZ_ASSERT(::posix_memalign(&memory, kMessageAlignment, size) == 0);
  if (size != 0) std::memcpy(memory, data, size);
  const auto parsed = ParseBatchStream({static_cast<const std::byte*>(memory), size});
  if (parsed) {
    FUZZ_ASSERT(parsed->types.size() == parsed->columns.size());
    for (size_t i = 0; i < parsed->columns.size(); ++i) Visit(parsed->types[i], parsed->columns[i]);
  } else {
    FUZZ_ASSERT(parsed.error().code == raylet::ErrorCode::kProtocolError);
  }
  std::free(memory);
  return 0;
}
